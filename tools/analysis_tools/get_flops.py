"""Count parameters, tokens and multiply-adds of a config, by layer and by part.

    python tools/analysis_tools/get_flops.py configs/sparse_tuning/vitb_cifar100.py
    python tools/analysis_tools/get_flops.py configs/sparsify/tiny_ats_frozen_digits.py --batch 4 --images photos/
    --json cost.json
    python tools/analysis_tools/get_flops.py configs/video/k400_sparse_tuning.py --frames 16

published: as papers count (fvcore's rule, all rows of every block, no probes). executed: what runs. FLOPs: 2 per
multiply-add, norms left out. All figures are those of one forward pass of --batch images or clips. See docs/cost.md.
"""

import argparse
import json
from pathlib import Path

from mmsparse.cli.options import Changes, parse
from mmsparse.cli.reporting import reporting


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='PIXELS',
        help='one side, or height and width (default: what the host is built for)',
    )
    parser.add_argument('--batch', type=int, default=1, help='images or clips in one forward pass (default: 1)')
    parser.add_argument('--frames', type=int, help='frames of a clip (default: those of the config)')
    parser.add_argument(
        '--images', type=Path, help='an image or a folder, where the cost depends on it (default: shipped photographs)'
    )
    parser.add_argument('--adapter', type=Path, help='folder of a trained state, where the cost depends on it')
    parser.add_argument(
        '--cfg-options', nargs='+', action=Changes, metavar='KEY=VALUE', help='change entries of the config'
    )
    parser.add_argument('--csv', type=Path, help='file for one row per layer and part')
    parser.add_argument('--json', type=Path, help='file for everything')
    return parse(parser)


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmsparse.analysis.from_config import Counted, count_config
from mmsparse.config.check import check_config
from mmsparse.config.read import read_config
from mmsparse.evaluation.cost_by_layer import Account, Cost
from mmsparse.evaluation.mac_scopes import PARTS
from mmsparse.visualization.tables import Table, print_tables, writable

FIGURES = ('published', 'executed', 'flops')


def by_layer(counted: Counted) -> Table:
    """Millions of multiply-adds of each layer: published, and executed where it differs."""
    account = counted.account
    parts = [part for part in PARTS[1:-1] if part != 'adapter' or account.part(part).published]
    table = Table(
        ['layer', 'tokens', 'in FFN', *parts, 'published', 'executed'],
        title='Millions of multiply-adds, published (executed)',
    )
    for layer, (tokens, ffn_tokens) in enumerate(zip(account.tokens, account.ffn_tokens), start=1):
        of = {place.part: cost for place, cost in account.costs.items() if place.layer == layer}
        total = account.layer(layer)
        cells = [both(of.get(part, Cost())) for part in parts]
        table.rows.append(
            [layer, number(tokens), number(ffn_tokens), *cells, million(total.published), million(total.executed)]
        )
    return table


def by_part(counted: Counted) -> Table:
    """Exact counts of each part."""
    account = counted.account
    shape = [account.batch, *([counted.frames] if counted.frames else []), 3, *counted.shape]
    table = Table(['part', *FIGURES], title=f'Multiply-adds and FLOPs of one pass, {" × ".join(map(str, shape))}')
    for part in dict.fromkeys(place.part for place in account.costs):
        table.rows.append([part, *figures(account.part(part)).values()])
    table.rows.append(['total', *figures(account.total).values()])
    return table


def summary(counted: Counted) -> Table:
    """What fits on a card."""
    account, one = counted.account, 'clip' if counted.frames else 'image'
    table = Table(['', 'count'])
    table.rows += [['parameters', account.parameters], ['trainable', account.trainable]]
    table.rows += (
        [] if account.trainable_backbone is None else [['trainable, without head', account.trainable_backbone]]
    )
    for name, value in figures(account.total).items():
        table.rows.append([f'{name}, G per {one}', f'{value / account.batch / 1e9:.4f}'])
    return table


def long(account: Account) -> Table:
    """One row per layer and part, and the total."""
    table = Table(['layer', 'part', 'tokens', 'ffn_tokens', *FIGURES])
    for place, cost in account.costs.items():
        rows = (
            ('', '') if place.layer is None else (account.tokens[place.layer - 1], account.ffn_tokens[place.layer - 1])
        )
        table.rows.append([place.layer, place.part, *rows, *figures(cost).values()])
    table.rows.append([None, 'total', None, None, *figures(account.total).values()])
    return table


def document(config: str, counted: Counted) -> dict:
    """Everything, as JSON has it."""
    account = counted.account
    return dict(
        config=config,
        shape=list(counted.shape),
        frames=counted.frames,
        batch=account.batch,
        parameters=dict(
            total=account.parameters, trainable=account.trainable, trainable_without_head=account.trainable_backbone
        ),
        tokens=list(account.tokens),
        ffn_tokens=list(account.ffn_tokens),
        **figures(account.total),
        parts={part: figures(account.part(part)) for part in dict.fromkeys(place.part for place in account.costs)},
        places=[dict(layer=place.layer, part=place.part, **figures(cost)) for place, cost in account.costs.items()],
        uncounted=list(account.uncounted),
        remarks=counted.remarks,
    )


def figures(cost: Cost) -> dict[str, float]:
    """The three counts; means over images are rounded to whole multiply-adds."""
    return {name: round(getattr(cost, name)) for name in FIGURES}


def both(cost: Cost) -> str:
    published, executed = million(cost.published), million(cost.executed)
    return published if published == executed else f'{published} ({executed})'


def million(count: float) -> str:
    return f'{count / 1e6:,.3f}' if count else '0'


def number(rows: float) -> str:
    return f'{rows:.1f}'.removesuffix('.0')


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was written.'):
        cfg = read_config(args.config, args.cfg_options)
        check_config(cfg)
        counted = count_config(cfg, args.shape, args.batch, args.images, args.adapter, args.frames)
        print_tables(*([by_layer(counted)] if counted.account.tokens else []), by_part(counted), summary(counted))
        print(*counted.remarks, sep='\n')
        if counted.account.uncounted:
            print(f'Not counted, because no formula is known: {", ".join(counted.account.uncounted)}.')
        if args.csv:
            long(counted.account).write_csv(args.csv)
        if args.json:
            writable(args.json).write_text(json.dumps(document(args.config, counted), indent=1) + '\n')


if __name__ == '__main__':
    main()
