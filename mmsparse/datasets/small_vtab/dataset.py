"""Small VTAB as a data set of MMEngine."""

import numpy as np

from mmsparse.datasets.array_dataset import ArrayDataset
from mmsparse.datasets.digits import Digits
from mmsparse.datasets.packed_pictures import packed_pictures
from mmsparse.datasets.small_vtab.puzzles import counts, quadrants, ways_up
from mmsparse.datasets.small_vtab.tasks import ANIMALS, KINDS, PREFIX, TASKS
from mmsparse.datasets.unseen_photos import UnseenPhotos
from mmsparse.registry import DATASETS
from mmsparse.utils.value_checks import check_word


def photographs(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return 100 photographs of each kind in KINDS, kind after kind, and their labels.

    All are of CIFAR-10's test set, and none is among `UnseenPhotos`.
    """
    return packed_pictures('small_vtab.tar.xz', split, KINDS)


def _animals(split: str) -> tuple[np.ndarray, np.ndarray]:
    pictures, kinds = photographs(split)
    shown = np.isin(kinds, [KINDS.index(name) for name in ANIMALS])
    return counts(pictures, shown, seed=('train', 'test').index(split))


LOAD = {
    'digits': lambda split: Digits(split, lazy_init=True).load_arrays(),
    'unseen': lambda split: UnseenPhotos(split, lazy_init=True).load_arrays(),
    'ten_kinds': photographs,
    'way_up': lambda split: ways_up(photographs(split)[0]),
    'quadrant': lambda split: quadrants(photographs(split)[0]),
    'animals': _animals,
}


@DATASETS.register_module()
class SmallVTAB(ArrayDataset):
    """One of six tasks on real pictures that travel with the package or with scikit-learn, after VTAB-1K.

    1,000 images to train (300 for 'unseen') and 797 to 1,200 to test, always the same. No pre-training of the shipped
    host has seen any of them.

    Args:
        task: a key of `mmsparse.datasets.small_vtab.tasks.TASKS`.
        split: 'train' or 'test'.
        kwargs: see `ArrayDataset`.

    Raises:
        InputError: no such task or split.
    """

    def __init__(self, task: str, split: str = 'train', **kwargs):
        check_word('SmallVTAB: received task', task, tuple(TASKS))
        self.task = task
        kwargs['metainfo'] = dict(classes=TASKS[task].names, **kwargs.get('metainfo') or {})
        super().__init__(split, **kwargs)

    @property
    def result_name(self) -> str:
        """What result files call it."""
        return f'{PREFIX}{self.task}'

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images N×H×W×3, uint8, BGR, 8, 16 or 32 pixels a side, and labels N."""
        return LOAD[self.task](self.split)
