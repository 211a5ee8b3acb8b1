"""What datasets share whose images arrive as one array."""

from abc import ABC, abstractmethod

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmsparse.errors import InputError

SPLITS = ('train', 'test')


class ArrayDataset(BaseDataset, ABC):
    """Images held in one array; the classes are the ten digits unless a subclass names others.

    An item enters the pipeline with ``img`` (H×W×3, uint8, BGR: as if loaded from a file), ``img_shape``,
    ``ori_shape`` and ``gt_label``.

    Args:
        split: 'train' or 'test'.
        data_root: folder of the files, where there are any.
        kwargs: the other arguments of mmpretrain's BaseDataset (pipeline, test_mode, indices, metainfo, …).
    """

    METAINFO = dict(classes=tuple('0123456789'))

    def __init__(self, split: str = 'train', data_root: str = '', **kwargs):
        if split not in SPLITS:
            raise InputError(f'{type(self).__name__}: received split={split!r}, expected one of {", ".join(SPLITS)}.')
        self.split = split
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    @abstractmethod
    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images N×H×W×3 (uint8, BGR) and labels N (0 … 9) of the split."""

    def load_data_list(self) -> list[dict]:
        """One dict per image; MMEngine calls it on first use."""
        images, labels = self.load_arrays()
        size = images.shape[1:3]
        return [
            dict(img=image, img_shape=size, ori_shape=size, gt_label=int(label))
            for image, label in zip(images, labels, strict=True)
        ]

    def extra_repr(self) -> list[str]:
        """There is no annotation file to be named."""
        return [f'Split: \t{self.split}']
