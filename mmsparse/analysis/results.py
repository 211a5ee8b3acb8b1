"""Result files: what methods reach and what they cost, one row per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from mmsparse.errors import InputError
from mmsparse.visualization.tables import Table, read_csv

COLUMNS = ('method', 'accuracy', 'gflops', 'trainable_kib')


@dataclass(frozen=True)
class Result:
    """One run.

    Args:
        method: runs of one method have one name.
        accuracy: top-1 in %.
        gflops: multiply-adds of one image in 1e9, as the literature counts.
        trainable_kib: bytes of what trains / 1024.
    """

    method: str
    accuracy: float
    gflops: float
    trainable_kib: float


def read_results(paths: Sequence[str | Path]) -> list[Result]:
    """Read CSV files with at least the columns method, accuracy, gflops, trainable_kib; other columns are left alone.

    Raises:
        InputError: no such file, missing columns, no rows, or a value that is no number; the text names file, columns
            and line.
    """
    results = []
    for path in map(Path, paths):
        rows = [_result(path, number, line) for number, line in enumerate(read_csv(path, COLUMNS), start=2)]
        if not rows:
            raise InputError(f'{path}: no rows below the head. Expected one row per run.')
        results += rows
    return results


def write_results(results: Sequence[Result], path: Path) -> None:
    """Write a file that `read_results` reads."""
    Table(COLUMNS, list(map(astuple, results))).write_csv(path)


def _result(path: Path, number: int, line: dict) -> Result:
    try:
        return Result(line['method'], *(float(line[name]) for name in COLUMNS[1:]))
    except (TypeError, ValueError) as error:
        raise InputError(f'{path}, line {number}: {error}. Expected numbers in {", ".join(COLUMNS[1:])}.') from error
