"""Which files of a folder are videos."""

from __future__ import annotations

from pathlib import Path

from mmsparse.errors import InputError

ENDS = (
    '.3gp',
    '.avi',
    '.flv',
    '.m4v',
    '.mkv',
    '.mov',
    '.mp4',
    '.mpeg',
    '.mpg',
    '.mts',
    '.ogv',
    '.ts',
    '.webm',
    '.wmv',
)


def videos_at(path: str | Path) -> list[Path]:
    """Return the file itself, or the videos below a folder by their names' ends, sorted.

    Raises:
        InputError: nothing is there, or the folder holds no video.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise InputError(f'{path}: no such video or folder.')
        return [path]
    found = sorted(each for each in path.rglob('*') if each.suffix.lower() in ENDS and not each.name.startswith('.'))
    if not found:
        raise InputError(f'{path}: no video in this folder. Expected files ending in {", ".join(ENDS)}.')
    return found
