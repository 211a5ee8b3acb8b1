"""Which files of a folder are pictures: every kind that Pillow reads, in one order everywhere."""

from __future__ import annotations

import inspect
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageFile

from mmsparse.errors import InputError

ONLY_NAMED = {'MPEG'}  # Pillow tells its size, and cannot read it


class Found(NamedTuple):
    """What lies below a folder.

    Attributes:
        images: pictures by their names' ends, sorted by path.
        others: files that are none, sorted.
        hidden: what systems leave behind: names that begin with a dot (macOS's ``._a.jpg``), and all below such a
            folder or ``__MACOSX``.
    """

    images: list[Path]
    others: list[Path]
    hidden: list[Path]


@cache
def extensions() -> frozenset[str]:
    """Return how names of pictures end, in lower case with the dot: what the installed Pillow opens."""
    Image.init()
    readers = {kind: reader for kind, (reader, _) in Image.OPEN.items()}
    stubs = {
        kind
        for kind, reader in readers.items()
        if inspect.isclass(reader) and issubclass(reader, ImageFile.StubImageFile)
    }
    return frozenset(
        end for end, kind in Image.registered_extensions().items() if kind in readers.keys() - stubs - ONLY_NAMED
    )


def image_files(folder: str | Path) -> Found:
    """List a folder and all below it, links to folders included; nothing is opened."""
    found, seen, ends = Found([], [], []), set(), extensions()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        above = Path(place).relative_to(folder).parts
        for name in names:
            hidden = any(part.startswith('.') or part == '__MACOSX' for part in (*above, name))
            kind = (
                found.hidden if hidden else found.images if os.path.splitext(name)[1].lower() in ends else found.others
            )
            kind.append(Path(place, name))
    for kind in found:
        kind.sort()
    return found


def images_at(path: str | Path) -> list[Path]:
    """Return the file itself, or the pictures below a folder.

    Raises:
        InputError: nothing is there, or the folder holds no picture.
    """
    path = Path(path)
    if path.is_dir():
        found = image_files(path)
        if not found.images:
            raise InputError(
                f'{path}: no image in this folder ({len(found.others)} other files, {len(found.hidden)} hidden ones). '
                'Expected files ending in .jpg, .png, .webp or what else Pillow reads.'
            )
        return found.images
    if not path.exists():
        raise InputError(f'{path}: no such image or folder.')
    return [path]
