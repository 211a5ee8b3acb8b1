"""VTAB-1K in result files: the means that papers print of its nineteen tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean

from mmsparse.datasets.vtab.tasks import GROUPS, TASKS, Task
from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean
from mmsparse.visualization.result_file import Result, described

PREFIX = 'vtab/'  # of a task's name in result files
GROUPED, PLAIN = 'mean of groups', 'mean of tasks'
MEANS = (*GROUPS, GROUPED, PLAIN)
DATASETS = {PLAIN: 'VTAB-1K', GROUPED: 'VTAB-1K, mean of groups'}


def means(by_task: Mapping[str, float], tasks: Mapping[str, Task] = TASKS) -> dict[str, float]:
    """Return the mean of each group, the mean of the group means, and the plain mean of all tasks.

    Papers print one of the last two without saying which: over VTAB-1K they differ by two to three points.

    Args:
        by_task: a figure for every task.
        tasks: of the benchmark, each with its ``group``.

    Raises:
        InputError: a task is missing, or is none.
    """
    missing, unknown = [task for task in tasks if task not in by_task], by_task.keys() - tasks.keys()
    if missing or unknown:
        raise InputError(
            f'VTAB: means are over all {len(tasks)} tasks; missing {", ".join(missing) or "none"}, unknown '
            f'{", ".join(sorted(unknown)) or "none"}. Train what is missing.'
        )
    groups = {
        group: mean(by_task[task] for task, about in tasks.items() if about.group == group)
        for group in dict.fromkeys(about.group for about in tasks.values())
    }
    return {**groups, GROUPED: mean(groups.values()), PLAIN: mean(by_task.values())}


def task_of(result: Result) -> str | None:
    """Return which task of VTAB-1K a result is of; None: another data set, or the pictures of a search of settings.

    Raises:
        InputError: there is no such task.
    """
    if not result.dataset.startswith(PREFIX) or result.dataset.endswith(')'):  # 'vtab/svhn (val200)'
        return None
    task = result.dataset.removeprefix(PREFIX)
    if task not in TASKS:
        raise InputError(
            f'{described(result)}: VTAB-1K has no task {task!r}, expected one of {", ".join(TASKS)}.'
            f'{did_you_mean(task, TASKS)}'
        )
    return task


def over_tasks(results: Sequence[Result]) -> tuple[list[Result], list[str]]:
    """Return both means over the tasks as results of their own, and a sentence on what is left out.

    A method has them for each seed with which all nineteen tasks have been run. Multiply-adds and bytes are the mean
    over tasks too: they differ by the number of classes, and by what a method sets for a task.

    Args:
        results: of any data sets; those of VTAB-1K count.
    """
    runs: dict[tuple[str, int], dict[str, Result]] = {}
    for result in results:
        if task := task_of(result):
            runs.setdefault((result.method, result.seed), {})[task] = result
    found, remarks = [], []
    for (method, seed), by_task in runs.items():
        if missing := [task for task in TASKS if task not in by_task]:
            named = ', '.join(missing) if len(missing) < 4 else f'{len(missing)} of {len(TASKS)} tasks'
            remarks.append(f'{method}, seed {seed}: no mean over VTAB-1K without {named}.')
            continue
        costs = {name: _mean([getattr(run, name) for run in by_task.values()]) for name in ('gflops', 'trainable_kib')}
        bests = [run.best for run in by_task.values()]
        best = means(dict(zip(by_task, bests))) if None not in bests else {}
        scores = means({task: run.score for task, run in by_task.items()})
        one = next(iter(by_task.values()))
        found += [
            replace(one, dataset=name, score=scores[over], best=best.get(over), **costs)
            for over, name in DATASETS.items()
        ]
    return found, remarks


def _mean(values: Sequence[float | None]) -> float | None:
    return None if None in values else mean(values)
