"""What a sweep has reached so far, from the folders of its runs."""

from __future__ import annotations

from statistics import mean, stdev

from mmsparse.analysis.sweeps.queue import Queue
from mmsparse.analysis.sweeps.scores import scores
from mmsparse.visualization.tables import Table


def table(queue: Queue) -> tuple[Table, list[str]]:
    """Return a row per cell, of a search its best point, and a sentence on what is not finished."""
    searching, metric = queue.sweep.search is not None, queue.sweep.metric
    rows, failed, open_ones = {}, [], 0
    for point, trial in queue.trials():
        state = trial.state.name if trial else 'WAITING'
        if state == 'COMPLETE':
            runs = [scores(queue.folder / name, metric) for name in point.folders().values()]
            if all(runs):
                rows.setdefault(point.cell, []).append((trial, runs))
            continue
        open_ones += 1
        if state == 'FAIL':
            failed.append(f'{point.name}: failed. {trial.user_attrs.get("error", "Its worker was stopped.")}')
    columns = ['runs', 'seeds', 'last', '± sd', 'best'] + (['found'] if searching else [])
    lines = []
    for cell, found in rows.items():
        if searching:
            found = [max(found, key=lambda one: one[0].value)]
        last = [by_step[max(by_step)] for _, runs in found for by_step in runs]
        best = mean(max(by_step.values()) for _, runs in found for by_step in runs)
        spread = f'{stdev(last):.2f}' if len(last) > 1 else '–'
        line = [cell, len(last), f'{mean(last):.2f}', spread, f'{best:.2f}']
        lines.append(
            line + ([', '.join(f'{k}={_short(v)}' for k, v in found[0][0].params.items())] if searching else [])
        )
    remarks = failed + ([f'{open_ones} not finished. The same command goes on.'] if open_ones else [])
    return Table(columns, lines, f'{queue.sweep.name}: {metric} after the last epoch'), remarks


def _short(value) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)
