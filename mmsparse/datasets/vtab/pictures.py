"""The pictures of a raw set, and their parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmsparse.datasets.image_files import image_files
from mmsparse.errors import InputError

Item = tuple[Image.Image, int]
SEED = 0


class Pictures(NamedTuple):
    """So many pictures in RGB, each with its label, read when asked for."""

    count: int
    item: Callable[[int], Item]

    def part(self, chosen: Sequence[int]) -> Pictures:
        """Return some of them."""
        return Pictures(len(chosen), lambda index: self.item(int(chosen[index])))

    def changed(self, image: Callable = lambda image: image, label: Callable = lambda label: label) -> Pictures:
        """Return them with a function on every picture and one on every label."""

        def item(index: int) -> Item:
            before, number = self.item(index)
            return image(before), label(number)

        return Pictures(self.count, item)


class Parts(NamedTuple):
    """What a task is taken from: 800 pictures are drawn from train, 200 from val, and test is taken whole."""

    train: Pictures
    val: Pictures
    test: Pictures


def shares(pictures: Pictures, *percent: int) -> list[Pictures]:
    """Part pictures by shares, in percent, of a permutation with a fixed seed."""
    order = np.random.default_rng(SEED).permutation(pictures.count)
    ends = [pictures.count * end // 100 for end in accumulate(percent, initial=0)]
    return [pictures.part(order[begin:end]) for begin, end in pairwise(ends)]


def listed(rows: Sequence[tuple[Path, int]]) -> Pictures:
    """Return the pictures of a list of files and labels."""

    def item(index: int) -> Item:
        path, label = rows[index]
        with Image.open(path) as image:
            return image.convert('RGB'), label

    return Pictures(len(rows), item)


def of_torchvision(data) -> Pictures:
    """Return the pictures of a data set of torchvision."""

    def item(index: int) -> Item:
        image, label = data[index]
        return image.convert('RGB'), int(label)

    return Pictures(len(data), item)


def of_hub(name: str, split: str, raw: Path) -> Pictures:
    """Return a part of a data set of Hugging Face's hub: the one picture of a row, and its label.

    Raises:
        InputError: the package that reads them is not installed.
    """
    try:
        from datasets import load_dataset
    except ModuleNotFoundError as error:
        raise InputError(
            f'{name}: read with the package datasets, which is not installed here. pip install datasets.'
        ) from error
    data = load_dataset(name, split=split, cache_dir=str(raw / 'huggingface'))

    def item(index: int) -> Item:
        row = data[index]
        (image,) = (value for value in row.values() if isinstance(value, Image.Image))
        return image.convert('RGB'), int(row['label' if 'label' in row else 'cls'])

    return Pictures(len(data), item)


def class_rows(folder: Path) -> list[tuple[Path, int]]:
    """Return files and labels of a folder of class folders, which count in alphabetical order without case.

    Raises:
        InputError: a class without a picture.
    """
    classes = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.name.lower())
    rows = [[(path, label) for path in image_files(place).images] for label, place in enumerate(classes)]
    if empty := [place.name for place, own in zip(classes, rows) if not own]:
        raise InputError(f'{folder}: no picture in {", ".join(empty)}. Unpack the whole archive again.')
    return [row for own in rows for row in own]
