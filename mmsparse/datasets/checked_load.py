"""Let a loader of another library refuse the files that `LoadImage` refuses, in one sentence."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from PIL import Image, UnidentifiedImageError

from mmsparse.errors import in_words

REMEDY = 'Replace the file, or take it out of the list of images.'
ENDS = {b'\xff\xd8': (b'\xff\xd9', 0), b'\x89PNG': (b'IEND', 4)}  # first bytes; last ones, and how many follow them
TAIL = 64  # bytes


class CheckedLoad:
    """A transform that loads a file, behind a look at the file; any error of either is an InputError.

    Args:
        load: the transform.
        key: of the path in what it is given; without one nothing is looked at.
    """

    def __init__(self, load: Callable[[dict], dict | None], key: str = 'img_path'):
        self.load, self.key = load, key

    def __call__(self, results: dict) -> dict:
        """Load.

        Raises:
            InputError: no regular file, broken, truncated, or so large that it may be a bomb; the text names it.
        """
        if not (path := results.get(self.key)):
            return self.load(results)
        with in_words(f'{path}: cannot be read as an image', REMEDY):
            refuse_irregular(path)
            refuse_damaged(path)
            if (loaded := self.load(results)) is None:
                raise ValueError('its loader gives nothing')
        return loaded

    def __repr__(self) -> str:
        return f'{self.load!r}'


def checked(step: Callable) -> Callable:
    """Return a step of a pipeline, behind a look at the file where it is a loader of mmcv's."""
    if isinstance(step, LoadImageFromFile | LoadAnnotations):
        return CheckedLoad(step, 'img_path' if isinstance(step, LoadImageFromFile) else 'seg_map_path')
    return step


def refuse_irregular(path: str | Path) -> None:
    """Raise for what is empty or no regular file: a pipe would be waited for. An address is left to its backend.

    Raises:
        OSError: says so.
    """
    if '://' in str(path):
        return
    try:
        there = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError('no such file') from None
    if not stat.S_ISREG(there.st_mode):
        raise OSError('no regular file')
    if not there.st_size:
        raise OSError('the file is empty')


def refuse_damaged(path: str | Path) -> None:
    """Raise for pictures that OpenCV would end in grey without a word, or would take gigabytes for.

    What Pillow does not know is left to the loader. Files that end as their kind does are not decoded a second time.

    Raises:
        OSError: truncated.
        Image.DecompressionBombError: more pixels than twice `Image.MAX_IMAGE_PIXELS`.
    """
    if '://' in str(path):
        return
    try:
        with open(path, 'rb') as file, Image.open(file) as image:
            file.seek(0)
            first = file.read(4)
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            last = file.read().rstrip(b'\0\r\n')
            if not any(
                first.startswith(start) and last[len(last) - len(end) - more :].startswith(end)
                for start, (end, more) in ENDS.items()
            ):
                image.load()
    except UnidentifiedImageError:
        pass
