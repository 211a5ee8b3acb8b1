"""The raw sets of VTAB-1K's natural tasks. Each reader takes the folder of raw sets, and whether torchvision may
download what is missing there.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from torchvision import datasets as tv

from mmsparse.datasets.vtab import labels
from mmsparse.datasets.vtab.pictures import SEED, Parts, class_rows, listed, of_torchvision, shares

AREA = 120_000  # pixels of a picture of SUN397, at most, as in TFDS
DRAWN = 30  # training pictures of each class of Caltech101


def cifar(raw: Path, download: bool) -> Parts:
    """CIFAR-100; val is from a tenth of the training pictures."""
    train, test = (of_torchvision(tv.CIFAR100(raw, train, download=download)) for train in (True, False))
    return Parts(*shares(train, 90, 10), test)


def caltech101(raw: Path, download: bool) -> Parts:
    """Caltech101, its background class included; 30 pictures of each class to train, val from a tenth of them."""
    if download:
        tv.Caltech101(raw, download=True)
    random, classes = np.random.default_rng(SEED), {}
    for row in class_rows(raw / 'caltech101/101_ObjectCategories'):
        classes.setdefault(row[1], []).append(row)
    mixed = [[own[index] for index in random.permutation(len(own))] for own in classes.values()]
    train, test = ([row for own in mixed for row in own[part]] for part in (slice(DRAWN), slice(DRAWN, None)))
    return Parts(*shares(listed(train), 90, 10), listed(test))


def dtd(raw: Path, download: bool) -> Parts:
    """Textures, the first of ten official partitions."""
    return Parts(*(of_torchvision(tv.DTD(raw, split, 1, download=download)) for split in ('train', 'val', 'test')))


def flowers102(raw: Path, download: bool) -> Parts:
    """Oxford's flowers, the official parts."""
    return Parts(*(of_torchvision(tv.Flowers102(raw, split, download=download)) for split in ('train', 'val', 'test')))


def pets(raw: Path, download: bool) -> Parts:
    """Oxford's cats and dogs; val is from a fifth of trainval."""
    train, test = (of_torchvision(tv.OxfordIIITPet(raw, split, download=download)) for split in ('trainval', 'test'))
    return Parts(*shares(train, 80, 20), test)


def svhn(raw: Path, download: bool) -> Parts:
    """House numbers, cropped; val is from a tenth of the training pictures."""
    train, test = (of_torchvision(tv.SVHN(raw / 'svhn', split, download=download)) for split in ('train', 'test'))
    return Parts(*(part.changed(label=labels.svhn_digit) for part in (*shares(train, 90, 10), test)))


def sun397(raw: Path, download: bool) -> Parts:
    """Scenes, in the parts of TFDS's lists; their lines are paths below SUN397, such as /a/abbey/sun_x.jpg."""
    if download:
        tv.SUN397(raw, download=True)
    folder = raw / 'SUN397'
    classes = {name: label for label, name in enumerate((folder / 'ClassName.txt').read_text().split())}

    def rows(part: str) -> list[tuple[Path, int]]:
        paths = (folder / f'sun397_tfds_{part}.txt').read_text().split()
        return [(folder / path.lstrip('/'), classes[path.rpartition('/')[0]]) for path in paths]

    return Parts(*(listed(rows(part)).changed(image=at_most) for part in ('tr', 'va', 'te')))


def at_most(image: Image.Image, area: int = AREA) -> Image.Image:
    """Shrink a picture to so many pixels, if it has more; its proportions stay."""
    factor = (area / (image.width * image.height)) ** 0.5
    if factor >= 1:
        return image
    return image.resize((int(image.width * factor), int(image.height * factor)), Image.Resampling.BOX)
