"""Lists of videos as the field has them: `path label`, CSV of Kinetics, JSON of Something-Something."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from mmsparse.errors import InputError, in_words

COLUMNS = {'label', 'youtube_id', 'time_start', 'time_end'}  # of Kinetics
KINDS = (
    "Expected lines of 'path label', the CSV of Kinetics (label,youtube_id,time_start,time_end,split) or the JSON of "
    'Something-Something.'
)
Listed = tuple[list[tuple[str, int]], list[str] | None]


def read_list(path: str | Path, labels: str | Path | None = None, classes: Sequence[str] | None = None) -> Listed:
    """Read a list of videos, whatever its kind; what is in it decides, not its name.

    Args:
        path: the file; UTF-8 or UTF-16, with a mark or not, with Unix or Windows line ends.
        labels: for Something-Something, the JSON with the number of each class (``labels.json``).
        classes: names by number, to check lines of `path label` against, and to number those of Kinetics, whose
            classes are otherwise all that the file names, in alphabetical order.

    Returns:
        (name of the file, label) for each video, and the names of the classes where the list has them. Something-
        Something names ``{id}.webm``, Kinetics ``{id}_{start:06d}_{end:06d}.mp4``.

    Raises:
        InputError: no such file, or a line that is none; the text has its number.
    """
    text = _text(Path(path))
    if not text.strip():
        raise InputError(f'{path}: this list is empty. {KINDS}')
    if text.lstrip()[0] in '[{':
        return _something(Path(path), text, labels)
    if {name.strip() for name in text.split('\n', 1)[0].split(',')} >= COLUMNS:
        return _kinetics(Path(path), text, classes)
    return _lines(Path(path), text, classes), None


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f'{path}: no such list of videos. Set ann_file to it.')
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode('utf-16' if wide else 'utf-8-sig', errors='surrogateescape')  # names of files are bytes
    return text.replace('\r\n', '\n').replace('\r', '\n')


def _lines(path: Path, text: str, classes: Sequence[str] | None) -> list[tuple[str, int]]:
    """Split at the last blank, tab or comma, so that names of files may have blanks in them."""
    rows, most = [], len(classes) if classes else None
    for number, line in enumerate(text.split('\n'), 1):
        if not line.strip():
            continue
        parts = re.fullmatch(r'\s*(.*?\S)\s*[\s,;]\s*(-?\d+)\s*', line)
        if not parts:
            raise InputError(f"{path}, line {number}: received {line.strip()[:80]!r}, expected 'path label'. {KINDS}")
        name, label = parts[1].strip('"'), int(parts[2])
        if label < 0 or most is not None and label >= most:
            raise InputError(
                f'{path}, line {number}: received the label {label} for {name}, expected 0 to '
                f'{most - 1 if most else "the number of classes - 1"}. Correct the list (does it count from 1?), '
                'or the classes of the dataset.'
            )
        rows.append((name, label))
    return rows


def _kinetics(path: Path, text: str, classes: Sequence[str] | None) -> Listed:
    table = list(csv.DictReader(io.StringIO(text), skipinitialspace=True))
    names = list(classes or sorted({row['label'] for row in table if row['label']}))
    numbers, rows = {name: number for number, name in enumerate(names)}, []
    for line, row in enumerate(table, 2):
        if row['label'] not in numbers:
            raise InputError(
                f'{path}, line {line}: received the label {row["label"]!r}, expected one of {len(names)} classes such '
                f'as {names[0]!r}. Correct the list, or the classes of the dataset.'
            )
        with in_words(f'{path}, line {line}: received {row}', KINDS):
            start, end = int(float(row['time_start'])), int(float(row['time_end']))
            rows.append((f'{row["youtube_id"]}_{start:06d}_{end:06d}.mp4', numbers[row['label']]))
    return rows, names


def _something(path: Path, text: str, labels: str | Path | None) -> Listed:
    with in_words(f'{path}: cannot be read as JSON', KINDS):
        entries = json.loads(text)
    if labels is None:
        raise InputError(
            f'{path}: a list of Something-Something needs the numbers of its classes: set labels to labels.json.'
        )
    with in_words(f'{labels}: cannot be read as the classes of Something-Something', 'Expected {template: number}.'):
        numbers = {name: int(number) for name, number in json.loads(_text(Path(labels))).items()}
        names = sorted(numbers, key=numbers.get)
        if sorted(numbers.values()) != list(range(len(names))):
            raise ValueError(f'its numbers are not 0 to {len(names) - 1}, each once')
    rows = []
    for place, entry in enumerate(entries, 1):
        with in_words(f'{path}, entry {place}: received {str(entry)[:80]}', "Expected 'id' and 'template'."):
            template = re.sub(r'[\[\]]', '', entry['template'])
            if template not in numbers:
                raise InputError(f'{path}, entry {place}: its template {template!r} is no class of {labels}.')
            rows.append((f'{entry["id"]}.webm', numbers[template]))
    return rows, names
