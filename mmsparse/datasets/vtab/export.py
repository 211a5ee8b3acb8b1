"""Write a task of VTAB-1K as pictures and lists; what a call that was stopped has written is kept by the next."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mmsparse.datasets.vtab.pictures import SEED, Parts, Pictures
from mmsparse.datasets.vtab.tasks import SPLITS
from mmsparse.errors import InputError

DRAWN = dict(train=800, val=200)
LISTS = dict(train='train800', val='val200', test='test')
SUMS, LEDGER = 'checksums.txt', 'written.txt'  # the first in the format of sha256sum, the second while it goes on


def is_whole(folder: Path) -> bool:
    """Tell whether a task is written to its end."""
    return all((folder / name).is_file() for name in (SUMS, *(f'{split}.txt' for split in SPLITS)))


def export(parts: Parts, folder: Path, classes: int) -> None:
    """Draw 800 and 200 pictures to train, and write them and all of test as PNG, then lists and checksums.

    Args:
        parts: of the raw set.
        folder: of the task.
        classes: labels are below that.

    Raises:
        InputError: fewer pictures than are drawn, or a label outside the classes.
    """
    ledger, rows = folder / LEDGER, list(_rows(parts))
    folder.mkdir(parents=True, exist_ok=True)
    known = {name: (digest, label) for digest, label, name in _known(ledger) if (folder / name).is_file()}

    def write(row: tuple[str, Pictures, int]) -> tuple[str, str, str]:
        name, pictures, index = row
        image, label = pictures.item(index)
        if not 0 <= label < classes:
            raise InputError(f'{folder}: received the label {label}, expected 0 to {classes - 1}. Is it another set?')
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix('.part')
        image.save(half, 'PNG')
        digest = hashlib.sha256(half.read_bytes()).hexdigest()
        half.replace(path)
        return digest, str(label), name

    with ledger.open('a') as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        file.write('\n')  # ends what a call that was killed may have left of a line
        for entry in pool.map(write, [row for row in rows if row[0] not in known]):
            file.write(' '.join(entry) + '\n')
            known[entry[2]] = entry[:2]
    _finish(folder, [(name, *known[name]) for name, _, _ in rows])


def _rows(parts: Parts) -> Iterator[tuple[str, Pictures, int]]:
    """Name every picture that is written, and where it comes from."""
    for name, pictures in parts._asdict().items():
        chosen = range(pictures.count)
        if name in DRAWN:
            if pictures.count < DRAWN[name]:
                raise InputError(f'received {pictures.count} pictures for {name}, expected at least {DRAWN[name]}.')
            chosen = np.random.default_rng(SEED).permutation(pictures.count)[: DRAWN[name]]
        for number, index in enumerate(chosen):
            yield f'images/{name}/{number:06d}.png', pictures, int(index)


def _known(ledger: Path) -> Iterator[list[str]]:
    """Return the entries of a ledger; half of one has fewer words, or names no file."""
    lines = ledger.read_text().splitlines() if ledger.is_file() else []
    return (words for line in lines if len(words := line.split(' ')) == 3)


def _finish(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    """Write lists and checksums, the file that makes a task whole last."""
    lists = {name: [] for name in LISTS.values()}
    for name, _, label in rows:
        lists[LISTS[name.split('/')[1]]].append(f'{name} {label}\n')
    lists['train800val200'] = lists['train800'] + lists['val200']
    for split, lines in lists.items():
        (folder / f'{split}.txt').write_text(''.join(lines))
    (folder / SUMS).write_text(''.join(f'{digest}  {name}\n' for name, digest, _ in rows))
    (folder / LEDGER).unlink()


def damaged(folder: Path) -> list[str]:
    """Return the pictures of a whole task that are not what was written."""
    lines = (line.split('  ', 1) for line in (folder / SUMS).read_text().splitlines())
    return [
        name
        for digest, name in lines
        if not (folder / name).is_file() or hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest
    ]
