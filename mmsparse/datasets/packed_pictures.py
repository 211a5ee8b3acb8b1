"""Photographs that travel with the package, as JPEG files in one archive."""

import tarfile
from collections.abc import Sequence
from importlib.resources import as_file, files

import cv2
import numpy as np


def packed_pictures(name: str, split: str, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read one split, in the order of the archive.

    Args:
        name: a file of mmsparse/assets with entries ``split/class/picture.jpg``
            (tools/dataset_converters/cifar10_folders.py).
        split: 'train' or 'test'.
        classes: their names; a label is the place in them.

    Returns:
        Images N×H×W×3, uint8, BGR, and labels N.
    """
    images, labels = [], []
    with as_file(files('mmsparse') / 'assets' / name) as path, tarfile.open(path) as archive:
        for entry in archive:
            part, kind, _ = entry.name.split('/')
            if part == split:
                jpeg = np.frombuffer(archive.extractfile(entry).read(), np.uint8)
                images.append(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
                labels.append(classes.index(kind))
    return np.stack(images), np.array(labels)
