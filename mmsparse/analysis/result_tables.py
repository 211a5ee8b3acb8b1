"""Results as the paper prints them, with intervals: Tables I (data sets), II (tasks of VTAB-1K) and IV (means)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from mmsparse.analysis.statistics import Paired, estimate, paired
from mmsparse.analysis.vtab import DATASETS, GROUPED, MEANS, PLAIN, means, over_tasks, task_of
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.visualization.result_file import Result
from mmsparse.visualization.tables import Table

UNKNOWN = '–'
NOTE = (
    '± is the half width of the 95 % interval of the mean over seeds (Student’s t). Differences are method minus '
    'reference; p is two-sided and not corrected for the number of rows. Signed ranks of few pairs cannot have a '
    'small p, whatever the difference: the last column.'
)


def by_data(results: Sequence[Result], title: str, average: bool = True) -> Table:
    """Return a row per method in the shape of Tables I and IV: cost, then the mean and its interval for each data set.

    Args:
        results: on several data sets.
        title: of the table.
        average: whether to end with the mean over all data sets, where there are several and a method has them all.
    """
    datasets = list(dict.fromkeys(result.dataset for result in results))
    average = average and len(datasets) > 1
    columns = ['method', 'seeds', 'trainable, KiB', 'GFLOPs', *datasets, *['mean'] * average]
    table = Table(columns, title=f'{title}, {results[0].metric} in %')
    for method in _methods(results):
        own = [result for result in results if result.method == method]
        scores = {data: [run.score for run in own if run.dataset == data] for data in datasets}
        row = [method, _counts(own), *_costs(own), *(_cell(scores[data]) for data in datasets)]
        if average:
            row.append(f'{mean(map(mean, scores.values())):.2f}' if all(scores.values()) else UNKNOWN)
        table.rows.append(row)
    return table


def by_task(results: Sequence[Result]) -> Table:
    """Return a row per method in the shape of Table II: every task's mean over seeds, then all means; '–' where a task
    has not been run.

    Intervals stand beside the two means over tasks, where each task has been run with the same two seeds or more.
    """
    rows = []
    for method in _methods(results):
        own = [result for result in results if result.method == method]
        scores = {task: [run.score for run in own if task_of(run) == task] for task in TASKS}
        known = {task: mean(values) for task, values in scores.items() if values}
        over = {name: f'{value:.2f}' for name, value in means(known).items()} if len(known) == len(TASKS) else {}
        whole, incomplete = over_tasks(own)
        if over and not incomplete:
            over |= {
                name: str(estimate([run.score for run in whole if run.dataset == DATASETS[name]]))
                for name in (GROUPED, PLAIN)
            }
        cells = [f'{known[task]:.2f}' if task in known else UNKNOWN for task in TASKS]
        rows.append([method, _counts(own), *cells, *(over.get(name, UNKNOWN) for name in MEANS)])
    columns = ['method', 'seeds', *(task.column for task in TASKS.values()), *MEANS]
    return Table(columns, rows, f'VTAB-1K, {results[0].metric} in %')


def in_pairs(results: Sequence[Result], reference: str) -> Table:
    """Return each method beside a reference, in pairs: of seeds on one data set; of data sets, each the mean over
    equal seeds, where both methods have several in common.
    """
    columns = ['method', 'pairs', 'difference, points', 'p, paired t', 'p, signed ranks', 'smallest p of signed ranks']
    table = Table(columns, title=f'Differences to {reference}')
    scores = {(run.method, run.dataset, run.seed): run.score for run in results}
    for method in (name for name in _methods(results) if name != reference):
        common: dict[str, list[tuple[float, float]]] = {}
        for (name, data, seed), score in scores.items():
            if name == method and (reference, data, seed) in scores:
                common.setdefault(data, []).append((score, scores[reference, data, seed]))
        if not common:
            table.rows.append([method, 'no common seed', *[UNKNOWN] * 4])
            continue
        if len(common) > 1:
            pairs, kind = [tuple(map(mean, zip(*seeds))) for seeds in common.values()], 'data sets'
        else:
            ((data, pairs),) = common.items()
            kind = f'seeds of {data}'
        test = paired(*zip(*pairs))
        table.rows.append(
            [method, f'{test.n} {kind}', _signed(test), *map(_p, (test.t_test, test.wilcoxon, test.least))]
        )
    return table


def _methods(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result.method for result in results))


def _counts(runs: Sequence[Result]) -> str:
    """'3', or '2 to 3' where data sets have different numbers of runs."""
    counts = sorted({sum(run.dataset == data for run in runs) for data in {run.dataset for run in runs}})
    return ' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def _costs(runs: Sequence[Result]) -> list[str]:
    values = [[getattr(run, name) for run in runs] for name in ('trainable_kib', 'gflops')]
    return [UNKNOWN if None in own else f'{mean(own):{form}}' for own, form in zip(values, (',.0f', '.4g'))]


def _cell(scores: Sequence[float]) -> str:
    return str(estimate(scores)) if scores else UNKNOWN


def _signed(test: Paired) -> str:
    return ('+' if test.difference.mean >= 0 else '') + str(test.difference)


def _p(value: float | None) -> str:
    return UNKNOWN if value is None else f'{value:.2g}'
