"""Figures of results, tokens and speed, as PNG and SVG; matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from mmsparse.analysis.benchmark import Row
from mmsparse.analysis.results import Result

AXES = {'gflops': 'GFLOPs per image (multiply-adds)', 'trainable_kib': 'trained parameters, KiB'}


def draw_results(results: Sequence[Result], cost: str, path: Path) -> list[Path]:
    """Draw accuracy over a cost, a point per method: mean of its runs, bar from lowest to highest.

    Args:
        results: runs; those of one method share its name.
        cost: 'gflops' or 'trainable_kib'; the latter on a logarithmic axis.
        path: without suffix.

    Returns:
        The files written.
    """
    runs = defaultdict(list)
    for result in results:
        runs[result.method].append(result)
    with _axes(path) as (axes, files):
        for method, own in runs.items():
            scores, middle = [run.accuracy for run in own], mean(run.accuracy for run in own)
            reach = [[middle - min(scores)], [max(scores) - middle]]
            axes.errorbar(
                mean(getattr(run, cost) for run in own),
                middle,
                yerr=reach,
                marker='o',
                linestyle='none',
                capsize=3,
                label=method,
            )
        axes.set(xlabel=AXES[cost], ylabel='top-1, %', xscale='symlog' if cost == 'trainable_kib' else 'linear')
        axes.legend(fontsize='small')
    return files


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
