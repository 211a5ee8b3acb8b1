"""Scikit-learn's handwritten digits: real scans that arrive with the dependency, so that a run needs no download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mmsparse.datasets.array_dataset import ArrayDataset
from mmsparse.registry import DATASETS

TRAIN = 1000


@DATASETS.register_module()
class Digits(ArrayDataset):
    """1,797 scans of 8×8 pixels, ten classes (UCI, Optical Recognition of Handwritten Digits; from scikit-learn).

    The split is by order, without a seed: the first 1,000 train, the last 797 test. Each class holds 98 … 104 of the
    former and 76 … 83 of the latter. The file is not shuffled: digits of one writer stand together, and the two parts
    share few writers. Grey values 0 … 16 become 0 … 255 in three equal channels. Arguments: see :class:`ArrayDataset`;
    there is no ``data_root`` to be set.
    """

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images N×8×8×3, uint8, and labels N."""
        # Not load_digits: importing scikit-learn takes longer than everything else up to the first step.
        file = Path(find_spec('sklearn').origin).with_name('datasets') / 'data' / 'digits.csv.gz'
        pixels, labels = np.hsplit(np.loadtxt(file, delimiter=','), [64])
        part = slice(None, TRAIN) if self.split == 'train' else slice(TRAIN, None)
        grey = np.rint(pixels[part].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1), labels[part, 0].astype(int)
