"""Figures of results, tokens and speed, as PNG and SVG; matplotlib is imported when one is drawn."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from mmsparse.analysis.benchmark import Row
from mmsparse.analysis.statistics import estimate
from mmsparse.errors import InputError
from mmsparse.visualization.result_file import Result, described

AXES = {'gflops': 'GFLOPs per image (multiply-adds)', 'trainable_kib': 'trained parameters, KiB'}


def draw_results(results: Sequence[Result], cost: str, path: Path) -> list[Path]:
    """Draw scores over a cost, one figure per data set; a point per method: mean of its runs, bar the 95 % interval.

    Args:
        results: runs; those of one method share its name.
        cost: 'gflops' or 'trainable_kib'; the latter on a logarithmic axis.
        path: without suffix; the name of the data set is put behind it where there are several.

    Returns:
        The files written.

    Raises:
        InputError: the cost of a run is not known.
    """
    unknown = next((result for result in results if getattr(result, cost) is None), None)
    if unknown:
        raise InputError(
            f'{described(unknown)}: its {cost} is not known, so it cannot be drawn over it. Fill that column in.'
        )
    by_data = defaultdict(lambda: defaultdict(list))
    for result in results:
        by_data[result.dataset][result.method].append(result)
    files = []
    for dataset, methods in by_data.items():
        files += _draw_data(dataset, methods, cost, path if len(by_data) == 1 else _beside(path, dataset))
    return files


def _draw_data(dataset: str, methods: Mapping[str, list[Result]], cost: str, path: Path) -> list[Path]:
    with _axes(path) as (axes, files):
        for method, own in methods.items():
            score = estimate([run.score for run in own])
            axes.errorbar(
                mean(getattr(run, cost) for run in own),
                score.mean,
                yerr=score.half or 0,
                marker='o',
                linestyle='none',
                capsize=3,
                label=f'{method}, n = {score.n}',
            )
        scale = 'symlog' if cost == 'trainable_kib' else 'linear'
        axes.set(xlabel=AXES[cost], ylabel=f'{own[0].metric}, %', xscale=scale, title=dataset)
        axes.legend(fontsize='small')
    return files


def _beside(path: Path, dataset: str) -> Path:
    return path.with_name(f'{path.name}_{re.sub("[^a-z0-9]+", "_", dataset.lower()).strip("_")}')


def draw_tokens(rows: Mapping[str, Sequence[int]], path: Path) -> list[Path]:
    """Draw the rows that enter each layer's FFN, by model.

    Args:
        rows: by the model's name, one number per layer.
        path: without suffix.
    """
    with _axes(path) as (axes, files):
        for name, own in rows.items():
            axes.step(range(1, len(own) + 1), own, where='mid', marker='.', label=name)
        axes.set(xlabel='layer', ylabel='tokens that enter the FFN, class token included', ylim=(0, None))
        axes.legend(fontsize='small')
    return files


def draw_speed(rows: Sequence[Row], path: Path) -> list[Path]:
    """Draw each contender's speed over the first one's: median of the rounds, bar from the lowest to the highest."""
    names = [
        f'{row.contender}\n{row.phase}, batch {row.batch}, {row.device} {row.precision} {row.mode}' for row in rows
    ]
    colours = {name: f'C{index}' for index, name in enumerate(dict.fromkeys(row.contender for row in rows))}
    with _axes(path, height=1 + 0.45 * len(rows)) as (axes, files):
        reach = [[row.ratio - row.ratio_min for row in rows], [row.ratio_max - row.ratio for row in rows]]
        axes.barh(
            range(len(rows)),
            [row.ratio for row in rows],
            xerr=reach,
            capsize=3,
            color=[colours[row.contender] for row in rows],
        )
        axes.set_yticks(range(len(rows)), names, fontsize='x-small')
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.axvline(1, color='black', linewidth=0.8)
        axes.set(xlabel=f'times as fast as {rows[0].contender}')
    return files


@contextmanager
def _axes(path: Path, height: float = 4.5):
    """Give axes and the files that will be written, PNG and SVG of the same bytes for the same input."""
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot: Agg draws, and nothing outlives the figure

    files = [path.with_name(f'{path.name}.{kind}') for kind in ('png', 'svg')]
    figure = Figure(figsize=(7, height), layout='constrained')
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    yield axes, files
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({'svg.hashsalt': 'mmsparse', 'svg.fonttype': 'none'}):
        for file in files:
            figure.savefig(file, dpi=150, metadata={'Date': None} if file.suffix == '.svg' else None)
