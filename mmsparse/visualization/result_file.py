"""Result files, the one format of what is printed or drawn: a CSV with one row per run; docs/results.md.

A finished run writes one (`mmsparse.ResultHook`), tools/analysis_tools collects, compares, tabulates and draws them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from mmsparse.errors import InputError, refuse
from mmsparse.utils.spelling import did_you_mean
from mmsparse.visualization.tables import Table, read_csv

FINISHED, TESTED = 'result.csv', 'tested.csv'  # what a training and a test leave in their folder of logs
RENAMED = {
    'accuracy': 'score',
    'top1': 'score',
    'last': 'score',
    'task': 'dataset',
    'data': 'dataset',
    'row': 'method',
}


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes:
        method: runs of one method have one name.
        dataset: what the score was taken on; a task of VTAB-1K is called 'vtab/svhn'.
        seed: runs of several methods with one seed on one data set are pairs.
        score: in percent, after the last epoch.
        metric: what the score is, such as 'top1' or 'mIoU'.
        best: the highest score of any epoch, which was chosen on the same images; None: not known.
        gflops: multiply-adds of one image (segmentors: one crop) in 1e9, as the literature counts; None: not known.
        trainable_kib: bytes of what trains, head included, / 1024: in single precision 4/1024 per parameter.
        precision: number format of training, such as 'bfloat16'; '': not known.
        length: of training, such as '100 epochs'; '': not known, or nothing was trained.
    """

    method: str
    dataset: str
    seed: int
    score: float
    metric: str = 'top1'
    best: float | None = None
    gflops: float | None = None
    trainable_kib: float | None = None
    precision: str = ''
    length: str = ''

    @property
    def place(self) -> tuple[str, str, int, str]:
        """What one result is known by: a second run of these is the same run, or a mistake."""
        return self.method, self.dataset, self.seed, self.metric


COLUMNS = tuple(field.name for field in fields(Result))
NEEDED = COLUMNS[:4]


def read_results(paths: Sequence[str | Path]) -> list[Result]:
    """Read result files; the columns method, dataset, seed and score must be there, and strange ones are left alone.

    Raises:
        InputError: no such file, missing, old or misspelt columns, no rows, a value that is no number or out of range,
            or a run that stands there twice with different figures; the text names file, columns and line.
    """
    found: dict[tuple, tuple[Result, str]] = {}
    for path in map(Path, paths):
        refuse(_column_faults(path))
        rows = read_csv(path, NEEDED)
        if not rows:
            raise InputError(f'{path}: no rows below the head. Expected one row per run.')
        for number, row in enumerate(rows, start=2):
            where = f'{path}, line {number}'
            result = _result(where, row)
            other, first = found.setdefault(result.place, (result, where))
            if other != result:
                raise InputError(
                    f'{where}: {described(result)} stands also in {first}, with other figures. Remove one of the two, '
                    'or give runs with other settings another name in the column method.'
                )
    return [result for result, _ in found.values()]


def write_results(results: Sequence[Result], path: str | Path) -> None:
    """Write a file that `read_results` reads; what is not known stays empty.

    Raises:
        InputError: the file cannot be written.
    """
    Table(COLUMNS, list(map(astuple, results))).write_csv(path)


def described(result: Result) -> str:
    """Name a run in a sentence."""
    return f'{result.method} on {result.dataset}, seed {result.seed}'


def check_protocol(results: Sequence[Result]) -> None:
    """Refuse runs on one data set that differ in metric, number format or length of training, where these are known.

    Raises:
        InputError: they do.
    """
    for dataset in dict.fromkeys(result.dataset for result in results):
        own = [result for result in results if result.dataset == dataset]
        for entry in ('metric', 'precision', 'length'):
            examples = {getattr(result, entry): result for result in own if getattr(result, entry)}
            if len(examples) > 1:
                said = '; '.join(f'{value} in {described(result)}' for value, result in examples.items())
                raise InputError(
                    f'{dataset}: runs of one table differ in {entry}: {said}. Give those of one protocol only, or '
                    'leave the column empty where the difference is meant.'
                )


def _column_faults(path: Path) -> Iterator[str]:
    """Say which columns are misspelt, or called as before there was one format."""
    if not path.is_file():
        return
    with path.open(newline='', errors='replace') as file:
        header = [name.strip() for name in file.readline().split(',')]
    for name in header:
        new = RENAMED.get(name)
        if new and new not in header:
            yield (
                f'{path}: the column {name} is now called {new}. Rename it in the header; the columns are '
                f'{", ".join(COLUMNS)}, of which the first {len(NEEDED)} are needed.'
            )
        others = [known for known in COLUMNS[len(NEEDED) :] if known not in header]
        if name not in COLUMNS and (meant := did_you_mean(name, others, most=1, cutoff=0.8)):
            yield f'{path}: received a column {name}.{meant} Rename it, or give it a name of its own.'


def _result(where: str, row: dict[str, str]) -> Result:
    """Make a result of a line."""
    values = asdict(Result('', '', 0, 0.0)) | {name: row[name].strip() for name in COLUMNS if row.get(name)}
    refuse(
        f'{where}: received an empty {name}, expected its name.' for name in ('method', 'dataset') if not values[name]
    )
    for name in ('score', 'best', 'gflops', 'trainable_kib'):
        values[name] = _number(where, name, row.get(name, '').strip())
    seed = row['seed'].strip()
    if not seed.isdecimal():
        raise InputError(f'{where}: received seed={seed!r}, expected a whole number.')
    return Result(**values | dict(seed=int(seed)))


def _number(where: str, name: str, text: str) -> float | None:
    """Return a number, or None for an empty cell of a column that may be empty."""
    percent = name in ('score', 'best')
    if not text and name != 'score':
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= (100 if percent else math.inf) or math.isinf(value):
        expected = 'a percentage from 0 to 100' if percent else 'a number of at least 0'
        raise InputError(f'{where}: received {name}={text!r}, expected {expected}.')
    return value
