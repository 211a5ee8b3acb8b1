"""What validations of a run came to, from the files that MMEngine writes beside its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path


def scores(folder: Path, metric: str) -> dict[int, float]:
    """Return a metric by epoch (without epochs: by iteration), of all parts of a run that was resumed; the later part
    counts.
    """
    return {
        line['step']: line[metric]
        for log in sorted(folder.glob('*/vis_data/scalars.json'))
        for line in lines(log)
        if metric in line
    }


def lines(log: Path) -> Iterator[dict]:
    """Give what a file of scalars holds, line by line."""
    for text in log.read_text().splitlines():
        try:
            yield json.loads(text)
        except ValueError:  # the last line of a run that was killed
            continue
