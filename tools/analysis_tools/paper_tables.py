"""Rebuild the tables of Sparse-Tuning: the paper's figure, ours and their difference, as far as they can be computed.

    python tools/analysis_tools/paper_tables.py                                    # in the terminal
    python tools/analysis_tools/paper_tables.py --markdown docs/paper_tables.md --csv tables.csv
    python tools/analysis_tools/paper_tables.py --results runs.csv                 # with accuracies of your own
    python tools/analysis_tools/paper_tables.py --measure 8                        # with speed and memory on this machine, about an hour

Parameters and GFLOPs are counted on the networks that the configs build. A result file (docs/results.md), such as
tools/analysis_tools/collect_results.py makes of finished runs, fills in accuracies, averaged over seeds. The paper's figures are in paper_tables.yml.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--results', type=Path, nargs='+', default=[], help='result files (CSV), see docs/results.md')
    parser.add_argument(
        '--measure',
        type=int,
        metavar='BATCH',
        help='measure speed and peak memory when testing, with this many images at once',
    )
    parser.add_argument('--csv', type=Path, help='file for one line per figure')
    parser.add_argument('--markdown', type=Path, help='file for the page of documentation')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import torch
import yaml
from mmengine.config import Config

from mmsparse.analysis.fixed_rate import hold_rate, on_all_rows
from mmsparse.analysis.from_config import build_from_config
from mmsparse.analysis.memory import held, nbytes, transient_peak
from mmsparse.analysis.paper_cells import config_of_row, fill
from mmsparse.analysis.timing import interleave, speedup
from mmsparse.analysis.vtab import GROUPED
from mmsparse.config.read import read_config
from mmsparse.evaluation.cost_by_layer import Account, account
from mmsparse.evaluation.mac_scopes import backbones
from mmsparse.evaluation.model_input import input_shape
from mmsparse.models.necks.dyt import DyTDispatcher
from mmsparse.visualization.result_file import read_results
from mmsparse.visualization.tables import Table, print_tables, writable

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PAPER = Path(__file__).resolve().with_suffix('.yml')
HEAD = """# The paper's tables beside ours

Made by `make tables` (`tools/analysis_tools/paper_tables.py`), which counts the networks that the configs build; do not edit.
[cost.md](cost.md) says how it is counted, and how accuracies of your own get into the tables.

A cell is *paper / here (difference)*, ✗ where they differ by more than 1 %; – is a figure that is not known. Parameters are those that train, without
the head. GFLOPs are published ones: multiply-adds by fvcore's rule, one image of 224 × 224 (in Table I video a clip of 8), all rows of every block.
*Executed* is what runs here for the same: probes counted, the last block for the class token alone where nothing else is read. Accuracies are top-1 in
percent; none is measured here unless a file of results was given.
"""
SHARES_NOTE = (
    "The README of the paper's repository promises 62–70 % of ViT-B. The paper's GFLOPs give 66 to 67 % at a keep rate of .7 on images and 70 % on "
    'video; nearest to 62 % are Table V b (61.5 %), which has no adapter, and Table IX a (61.3 %), which loses two to three points of accuracy.'
)


class Ours(NamedTuple):
    """What is counted for one row; None: not known here.

    Args:
        parameters: that train, without head.
        exact: the same, with the Dense Adapter in the form that gives the paper's own counts.
        published: multiply-adds as papers count.
        executed: multiply-adds that run; None where the cost is nominal.
    """

    parameters: int | None = None
    exact: int | None = None
    published: float | None = None
    executed: float | None = None


@dataclass
class Row:
    """One row of one table: the paper's figures and ours, by quantity."""

    name: str
    setting: str
    paper: dict[str, float | None]
    ours: dict[str, float | None] = field(default_factory=dict)
    executed: float | None = None
    measured: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)


def count(row: dict, exact: bool) -> Ours:
    """Count what stands for a row of paper_tables.yml."""
    if 'absent' in row:
        return Ours()
    spec = spec_of(row)
    whole = counted(spec)
    runs = counted(dict(spec, adapter=None)) if row.get('merged') else whole
    other = None
    if exact and whole.dense_adapter:
        other = trainable(dict(spec, adapter=dict(whole.dense_adapter, norm='in', up_bias=False)))
    return Ours(whole.trainable, other, runs.published, runs.executed)


def spec_of(row: dict) -> dict:
    """Return which config stands for a row, and what changes in its backbone."""
    return dict(
        config=config_of_row(row),
        **{key: row[key] for key in ('adapter', 'sparsifier') if key in row},
    )


def measured(row: dict, batch: int) -> tuple[float, float] | None:
    """Return how many times as fast as the dense host a row's network tests, both run in turns, and its peak in MiB.

    None where nothing can run.
    """
    spec = spec_of(row)
    if 'absent' in row:
        return None
    return _measured(json.dumps(dict(spec, adapter=None) if row.get('merged') else spec), batch)


@cache
def _measured(spec: str, batch: int) -> tuple[float, float]:
    own, dense = (
        build_from_config(config_of(dict(json.loads(spec), **change)))
        for change in ({}, dict(adapter=None, sparsifier=None))
    )
    images = torch.randn(input_shape(own, batch, *own.backbone.view.image_size))
    hold_rate(own, images)
    with torch.no_grad():
        samples = interleave({'dense': lambda: dense(images), 'own': lambda: own(images)})
        peak = nbytes(held(own)) + transient_peak(lambda: own(images), images.device)
    return speedup(samples['dense'], samples['own']).median, peak / 2**20


class Counted(NamedTuple):
    """One network: parameters that train without the head, multiply-adds; its Dense Adapter's config if it has one."""

    trainable: int
    published: float
    executed: float | None
    dense_adapter: dict | None


def counted(spec: dict) -> Counted:
    """Count one network, once."""
    return _counted(json.dumps(spec))


@cache
def _counted(spec: str) -> Counted:
    cfg = config_of(json.loads(spec))
    model = build_from_config(cfg, 'meta')
    (backbone,) = backbones(model)
    dispatchers = [part for part in backbone.sparsifiers if isinstance(part, DyTDispatcher)]
    for part in dispatchers:
        part.plan = on_all_rows(part.plan)
    one = torch.zeros(input_shape(model, 1, *backbone.view.image_size), device='meta')
    cost = account(model, [one])
    prefix = backbone.view.prefix * math.prod(one.shape[1:-3])
    published = nominal(cost, prefix, dispatchers[0].rate) if dispatchers else cost.total.published
    dense = [
        dict(part)
        for part in listed(cfg.model.backbone.get('adapter'))
        if part['type'] == 'mmsparse.DenseAdapter' and 'inputs' not in part
    ]
    return Counted(
        cost.trainable_backbone, published, None if dispatchers else cost.total.executed, dense[0] if dense else None
    )


def config_of(spec: dict) -> Config:
    """Read a config and change its backbone."""
    cfg = read_config(CONFIGS / f'{spec["config"]}.py')
    cfg.model.backbone.host.weight_init = 'skip'  # nobody reads the weights, and drawing them takes most of the time
    for key in spec.keys() - {'config'}:
        cfg.model.backbone[key] = spec[key]
    return cfg


def trainable(spec: dict) -> int:
    """Return the parameters of one network that train, without the head."""
    (backbone,) = backbones(build_from_config(config_of(spec), 'meta'))
    return sum(p.numel() for p in backbone.parameters() if p.requires_grad)


def nominal(cost: Account, prefix: int, rate: float) -> float:
    """Return what DyT costs where exactly this share of the patches enters every FFN, whose cost is in proportion."""
    saved = 0
    for layer, rows in enumerate(cost.tokens, start=1):
        ffn = sum(c.published for place, c in cost.costs.items() if place == (layer, 'ffn'))
        saved += ffn * (1 - rate) * (rows - prefix) / rows
    return cost.total.published - saved


def listed(config) -> list[dict]:
    """A config, a list of them or None, as a list."""
    return [] if config is None else list(config) if isinstance(config, list | tuple) else [config]


def rows_of(table: dict, results: dict, batch: int | None = None) -> list[Row]:
    """Count a table's rows, and take its accuracies from the results; with a batch size, measure speed and memory."""
    rows = []
    for spec in table['rows']:
        ours = count(spec, table.get('exact', False))
        paper = dict(zip(['parameters', 'GFLOPs', *table['datasets']], spec['paper'], strict=True))
        mine = dict(
            parameters=None if ours.parameters is None else ours.parameters / 1e6,
            GFLOPs=None if ours.published is None else ours.published / 1e9,
        )
        mine |= {name: results.get((table['table'], spec['row'], name)) for name in (*table['datasets'], GROUPED)}
        mine['exact'] = None if ours.exact is None else ours.exact / 1e6
        executed = None if ours.executed is None else ours.executed / 1e9
        here = measured(spec, batch) if batch else None
        notes = [spec[key] for key in ('absent', 'note') if key in spec]
        rows.append(Row(spec['row'], spec.get('setting', ''), paper, mine, executed, here, notes))
    return rows


def laid_out(table: dict, rows: list[Row]) -> Table:
    """A table as people read it."""
    with_setting, exact = any(row.setting for row in rows), table.get('exact', False)
    timed = ['speed here, dense = 1', 'peak here, MiB'] if any(row.measured for row in rows) else []
    grouped = [f'{GROUPED}, here'] if any(row.ours[GROUPED] is not None for row in rows) else []
    exact_column = ["here, `norm='in', up_bias=False`"] * exact
    columns = [
        'row',
        *['setting'] * with_setting,
        'parameters, M',
        *exact_column,
        'GFLOPs',
        'executed',
        *timed,
        *table['datasets'],
        *grouped,
    ]
    out = Table(columns, title=f'Table {table["table"]}: {table["title"]}')
    for row in rows:
        cells = [row.name, *[row.setting] * with_setting, cell(row.paper['parameters'], row.ours['parameters'])]
        cells += [known(row.ours['exact'], 3)] * bool(exact)
        cells += [
            cell(row.paper['GFLOPs'], row.ours['GFLOPs']),
            known(row.executed),
            *map(known, (row.measured or (None, None))[: len(timed)]),
        ]
        cells += [f'{known(row.paper[name])} / {known(row.ours[name])}' for name in table['datasets']]
        out.rows.append(cells + [known(row.ours[GROUPED])] * len(grouped))
    return out


def notes_of(table: dict, rows: list[Row]) -> list[str]:
    """What is to be said below a table, equal remarks of several rows once."""
    by_note = defaultdict(list)
    for row in rows:
        for note in row.notes:
            by_note[note].append(row.name)
    said_of = {note: 'all rows' if len(names) == len(rows) else '; '.join(names) for note, names in by_note.items()}
    return [*table.get('notes', []), *(f'{names}: {note}.' for note, names in said_of.items())]


def cell(paper: float | None, ours: float | None) -> str:
    """Both figures, and how far ours lies from the paper's."""
    off = difference(paper, ours)
    # no minus before zero
    far = '' if off is None else f' ({round(off, 1) + 0.0:+.1f} %{" ✗" if abs(off) > 1 else ""})'
    return f'{known(paper)} / {known(ours)}{far}'


def difference(paper: float | None, ours: float | None) -> float | None:
    return None if not paper or ours is None else 100 * (ours - paper) / paper


def known(value: float | None, digits: int = 2) -> str:
    return '–' if value is None else f'{value:.{digits}f}' if value else '0'


def shares(specs: list[dict]) -> Table:
    """Sparse-Tuning's cost as a share of the dense network's on the same data."""
    table = Table(
        ['data', 'GFLOPs, dense', 'GFLOPs, Sparse-Tuning', 'share, here', 'share by the paper’s GFLOPs'],
        title='Share of the dense cost',
    )
    for spec in specs:
        sparse, dense = (
            count(dict(spec, **change), False).published for change in ({}, dict(adapter=None, sparsifier=None))
        )
        printed = f'{100 * spec["paper"][0] / spec["paper"][1]:.1f} %'
        here = (
            ['–'] * 3 if sparse is None else [known(dense / 1e9), known(sparse / 1e9), f'{100 * sparse / dense:.1f} %']
        )
        table.rows.append([spec['dataset'], *here, printed])
    return table


def long(tables: list[tuple[dict, list[Row]]]) -> Table:
    """One line per figure, as a spreadsheet wants it."""
    out = Table(['table', 'row', 'setting', 'quantity', 'paper', 'ours', 'difference_percent', 'note'])
    for table, rows in tables:
        for row in rows:
            for quantity, paper in row.paper.items():
                value = row.ours.get(quantity)
                out.rows.append(
                    [
                        table['table'],
                        row.name,
                        row.setting,
                        quantity,
                        paper,
                        value,
                        difference(paper, value),
                        '; '.join(row.notes),
                    ]
                )
            for quantity, value in zip(
                ('executed GFLOPs', 'speed here, dense = 1', 'peak here, MiB'), (row.executed, *(row.measured or ()))
            ):
                out.rows.append([table['table'], row.name, row.setting, quantity, None, value, None, ''])
    return out


def page(tables: list[tuple[dict, list[Row]]], share: Table) -> str:
    """The tables as a page of documentation."""
    return '\n'.join([HEAD, *_sections(tables, share)])


def _sections(tables: list[tuple[dict, list[Row]]], share: Table) -> Iterator[str]:
    for table, rows in tables:
        yield f'## Table {table["table"]}: {table["title"]}\n'
        if rows:
            yield laid_out(table, rows).markdown() + '\n'
        yield from (f'- {note}' for note in notes_of(table, rows))
        yield ''
    yield f'## {share.title}\n\n{share.markdown()}\n\n{SHARES_NOTE}\n'


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        if args.measure is not None and args.measure < 1:
            raise InputError(f'--measure: received {args.measure}, expected a number of images of at least 1.')
        paper = yaml.safe_load(PAPER.read_text())
        results, remarks = fill(read_results(args.results), paper['tables'])
        tables = [(table, rows_of(table, results, args.measure)) for table in paper['tables']]
        share = shares(paper['shares'])
        for table, rows in tables:
            print_tables(laid_out(table, rows))
            print(*(f'- {note}' for note in notes_of(table, rows)), '', sep='\n')
        print_tables(share)
        print(SHARES_NOTE, *remarks, sep='\n')
        if args.csv:
            long(tables).write_csv(args.csv)
        if args.markdown:
            writable(args.markdown).write_text(page(tables, share))


if __name__ == '__main__':
    main()
