"""Photographs of three classes that the small shipped host has never seen; they travel with the package."""

import numpy as np

from mmsparse.datasets.array_dataset import ArrayDataset
from mmsparse.datasets.packed_pictures import packed_pictures
from mmsparse.registry import DATASETS


@DATASETS.register_module()
class UnseenPhotos(ArrayDataset):
    """Cats, deer and frogs of CIFAR-10 (Krizhevsky, 2009), 32×32 pixels: 100 to train and 400 to test of each.

    The shipped host is pre-trained on the other seven classes, so adapting it to these is an honest test of transfer.
    The pictures are a slice of CIFAR-10's own training and test sets, as JPEG files
    (tools/dataset_converters/cifar10_folders.py). Arguments: see `ArrayDataset`.
    """

    METAINFO = dict(classes=('cat', 'deer', 'frog'))

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images N×32×32×3, uint8, BGR, and labels N (0 … 2)."""
        return packed_pictures('unseen_photos.tar.xz', self.split, self.METAINFO['classes'])
