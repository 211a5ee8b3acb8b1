"""Finished runs on VTAB-1K, and the means that papers print of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from mmengine.config import Config

from mmsparse.datasets.vtab.tasks import GROUPS, TASKS
from mmsparse.errors import InputError
from mmsparse.visualization.tables import Table

METRIC = 'accuracy/top1'
MEANS = (*GROUPS, 'mean of groups', 'mean of tasks')


@dataclass(frozen=True)
class Run:
    """One run on one task.

    Attributes:
        method: name of its config.
        task: one of TASKS.
        seed: of the run.
        last: top-1 in % after the last epoch, the figure of the protocol.
        best: the highest of all that were evaluated, chosen on the test data.
    """

    method: str
    task: str
    seed: int
    last: float
    best: float


def means(by_task: Mapping[str, float]) -> dict[str, float]:
    """Return the mean of each group, the mean of the three group means, and the plain mean of all nineteen tasks.

    Papers print one of the last two without saying which: they differ by two to three points.

    Args:
        by_task: a figure for every task.

    Raises:
        InputError: a task is missing, or is none.
    """
    missing, unknown = [task for task in TASKS if task not in by_task], by_task.keys() - TASKS.keys()
    if missing or unknown:
        raise InputError(
            f'VTAB-1K: means are over all {len(TASKS)} tasks; missing {", ".join(missing) or "none"}, unknown '
            f'{", ".join(sorted(unknown)) or "none"}. Train what is missing.'
        )
    groups = {group: mean(by_task[task] for task, about in TASKS.items() if about.group == group) for group in GROUPS}
    return {**groups, 'mean of groups': mean(groups.values()), 'mean of tasks': mean(by_task.values())}


def find_runs(root: str | Path) -> tuple[list[Run], list[str]]:
    """Return the finished runs below a folder, and a sentence on each other one.

    Raises:
        InputError: no run on VTAB-1K is there.
    """
    runs, remarks = [], []
    for config in sorted(Path(root).rglob('*.py')):
        if not (scores := _scores(config.parent)):
            continue
        cfg = Config.fromfile(config)
        task = cfg.get('train_dataloader', {}).get('dataset', {}).get('task')
        if task not in TASKS:
            continue
        if max(scores) < cfg.train_cfg.max_epochs:
            remarks.append(f'{config.parent}: not finished, epoch {max(scores)} of {cfg.train_cfg.max_epochs}.')
            continue
        last, best = scores[max(scores)], max(scores.values())
        runs.append(Run(config.stem, task, cfg.randomness.seed, last, best))
    if not (runs or remarks):
        raise InputError(
            f'{root}: no run on VTAB-1K below this folder, expected work folders of tools/train.py with a config of '
            'configs/vtab.'
        )
    return runs, remarks


def table(runs: Sequence[Run], figure: str = 'last') -> Table:
    """Return a row per method: every task's mean over seeds, then all means; '–' where a task has not been run.

    Args:
        runs: finished ones.
        figure: 'last' or 'best'.
    """
    rows = []
    for method in dict.fromkeys(run.method for run in runs):
        own = [run for run in runs if run.method == method]
        by_task = {
            task: mean(getattr(run, figure) for run in own if run.task == task)
            for task in TASKS
            if any(run.task == task for run in own)
        }
        over = means(by_task) if len(by_task) == len(TASKS) else {}
        cells = [by_task.get(task) for task in TASKS] + [over.get(name) for name in MEANS]
        rows.append([method, _seeds(own), *('–' if cell is None else f'{cell:.2f}' for cell in cells)])
    columns = ['method', 'seeds', *(task.column for task in TASKS.values()), *MEANS]
    return Table(columns, rows, f'VTAB-1K, top-1 in %, {figure} epoch')


def _seeds(runs: Sequence[Run]) -> str:
    """'3', or '2 to 3' where tasks have different numbers of runs."""
    counts = sorted({sum(run.task == task for run in runs) for task in {run.task for run in runs}})
    return ' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def _scores(folder: Path) -> dict[int, float]:
    """Accuracies by epoch, of all parts of a run that was resumed; the later part counts."""
    return {
        line['step']: line[METRIC]
        for log in sorted(folder.glob('*/vis_data/scalars.json'))
        for line in _lines(log)
        if METRIC in line
    }


def _lines(log: Path) -> Iterator[dict]:
    for text in log.read_text().splitlines():
        try:
            yield json.loads(text)
        except ValueError:  # the last line of a run that was killed
            continue
