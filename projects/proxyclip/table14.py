"""Fill Table XIV of Sparse-Tuning: rows of ProxyCLIP with their cost, and the mIoU of your own on eight data sets.

    python projects/proxyclip/table14.py                                      # parameters and multiply-adds alone
    python projects/proxyclip/table14.py runs.csv --markdown table14.md       # with results

Results come from tools/analysis_tools/collect_results.py --csv (docs/results.md): a test leaves one, with the
seed of the state that it tests. Costs are those of a window of 336 px, counted without weights. Rows: table14.yml.
"""

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import yaml

# the configs import this project by its path from the root
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmsparse.analysis.statistics import estimate
from mmsparse.cli.reporting import reporting
from mmsparse.config.read import read_config
from mmsparse.engine.hooks.result import plain
from mmsparse.errors import InputError
from mmsparse.utils.spelling import did_you_mean
from mmsparse.visualization.result_file import Result, check_protocol, described, read_results
from mmsparse.visualization.tables import Table, print_tables, writable
from projects.proxyclip.proxyclip.cost import WindowCost, window_cost

HERE = Path(__file__).resolve().parent
METRIC = 'mIoU'
NOTES = (
    '† Trained on COCO-Stuff, where all classes of this data set have labels, VOC’s under other names; of Context, '
    'ADE20K and Cityscapes some have. COCO-Object and COCO-Stuff are the same pictures.',
    'Rows and protocol are an inference: the text of the paper gives two differences of Sparse-Tuning to DyT, +1.6 on '
    'COCO-Object and +2.2 on VOC20. DyT’s GFLOPs are those of exactly its rate.',
)


def parse_args() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('results', nargs='*', type=Path, help='result files (.csv)')
    options.add_argument('--markdown', type=Path, help='also write the table as Markdown')
    return options.parse_args()


@dataclass(frozen=True)
class Layout:
    """What table14.yml says: the columns, those with classes seen in training, and the rows."""

    datasets: list[str]
    seen: list[str]
    rows: list[dict]
    shorthand: list[dict]

    @classmethod
    def read(cls) -> 'Layout':
        """Return it."""
        return cls(**yaml.safe_load((HERE / 'table14.yml').read_text()))


def cost_of(row: dict) -> WindowCost:
    """Count the network of a row; nothing is loaded."""
    model = read_config(HERE / 'configs/voc20_dense.py').model
    for part, value in row['backbone'].items():
        model.backbone[part] = {**model.backbone.get(part, {}), **value} if part == 'readout' else value
    return window_cost(model)


def cells(results: list[Result], layout: Layout) -> tuple[dict[tuple[str, str], list[float]], list[str]]:
    """Return the scores of all seeds by method and data set, and a sentence on each result that has no place.

    Raises:
        InputError: another metric, or runs of different protocols on one data set.
    """
    check_protocol(results)
    columns, methods = {plain(name): name for name in layout.datasets}, [row['method'] for row in layout.rows]
    found, remarks = defaultdict(list), []
    for result in results:
        if result.metric != METRIC:
            raise InputError(
                f'{described(result)}: received {result.metric}, expected {METRIC}. Leave other runs out.'
            )
        data = columns.get(plain(result.dataset))
        if data and result.method in methods:
            found[result.method, data].append(result.score)
            continue
        received, known = (result.method, methods) if data else (result.dataset, layout.datasets)
        hint = did_you_mean(received, known, most=1) or f' Expected one of {", ".join(known)}.'
        remarks.append(f'{described(result)}: Table XIV has no {"row" if data else "column"} {received}.{hint}')
    return found, remarks


def table(layout: Layout, found: dict[tuple[str, str], list[float]]) -> Table:
    """Return the table as people read it; '–' where nothing has been measured."""
    columns = ['#', 'row', 'tunable, M', 'GFLOPs, CLIP', 'GFLOPs, end to end', *layout.datasets, 'mean']
    out = Table(columns, title='Table XIV: open-vocabulary segmentation with ProxyCLIP, mIoU in %')
    for row in layout.rows:
        cost, scores = cost_of(row), [found.get((row['method'], data)) for data in layout.datasets]
        counts = (f'{cost.tunable / 1e6:.2f}', f'{cost.clip / 1e9:.1f}', f'{cost.total / 1e9:.1f}')
        marks = ['†' if row.get('trained') and data in layout.seen else '' for data in layout.datasets]
        shown = [f'{estimate(some)}{mark}' if some else f'–{mark}' for some, mark in zip(scores, marks)]
        overall = f'{mean(map(mean, scores)):.2f}' if all(scores) else '–'
        out.rows.append([row['number'], row['row'], *counts, *shown, overall])
    return out


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        layout = Layout.read()
        found, remarks = cells(read_results(args.results), layout)
        if args.results and not found:
            raise InputError(f'no cell of Table XIV is filled: {" ".join(remarks)}')
        made = table(layout, found)
        print_tables(made)
        print(*NOTES, *remarks, sep='\n')
        if args.markdown:
            text = '\n\n'.join([f'## {made.title}', made.markdown(), *NOTES])
            writable(args.markdown).write_text(f'{text}\n')


if __name__ == '__main__':
    main()
