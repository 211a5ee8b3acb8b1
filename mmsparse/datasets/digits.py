"""Scikit-learn's handwritten digits: real scans that arrive with the dependency, so that a run needs no download."""

import numpy as np
from sklearn.datasets import load_digits

from mmsparse.registry import DATASETS

from .array_dataset import ArrayDataset

TRAIN = 1000


@DATASETS.register_module()
class Digits(ArrayDataset):
    """1,797 scans of 8×8 pixels, ten classes (UCI, Optical Recognition of Handwritten Digits; as scikit-learn ships them).

    The split is by order, without a seed: the first 1,000 train, the last 797 test. Each class holds 98 … 104 of the former and 76 … 83 of the
    latter. The file is not shuffled: digits of one writer stand together, and the two parts share few writers.
    Grey values 0 … 16 become 0 … 255 in three equal channels. Arguments: see :class:`ArrayDataset`; there is no ``data_root`` to be set.
    """

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images N×8×8×3, uint8, and labels N."""
        digits = load_digits()
        part = slice(None, TRAIN) if self.split == 'train' else slice(TRAIN, None)
        grey = np.rint(digits.images[part] * (255 / 16)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1), digits.target[part]
