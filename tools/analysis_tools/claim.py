"""Put the paper's central claim to the test in small: do Dense Adapters make up for the tokens that a sparsifier
takes?

    python tools/analysis_tools/claim.py --variants photos --out docs/claim.md

The rows are the paper's Table V (a) to (d), other adapters under the same reduction, and Sparse-Tuning with other
sparsifiers, on the shipped small ViT. Every row has the same seeds, so differences are paired: their mean and its 95 %
interval (Student's t) are printed. Finished runs stay in the ledger that tools/analysis_tools/compare.py uses too:
called again, the tool trains only what is missing.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from mmsparse.cli.options import SMALL, add_precision
from mmsparse.cli.reporting import reporting

KEEP = (0.7, 0.5)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', choices=list(SMALL), default=list(SMALL))
    parser.add_argument('--keep', nargs='+', type=float, choices=KEEP, default=list(KEEP))
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=list(SMALL),
        default=[],
        help='data on which (d) and AdaptFormer are also trained with one setting changed',
    )
    parser.add_argument('--seeds', type=int, default=5, help='runs per row, with seeds 0, 1, ... (default: 5)')
    parser.add_argument('--ledger', type=Path, default=Path('work_dirs/compare/results.jsonl'))
    parser.add_argument(
        '--out', type=Path, help='a page of Markdown: the text between its two marker comments is replaced'
    )
    add_precision(parser, 'as the configs say: auto')
    parser.add_argument('--show', action='store_true', help='train nothing: leave out what is not known yet')
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

from mmengine.config import Config

from mmsparse.analysis.statistics import paired
from mmsparse.analysis.trials import Ledger, config_copy, trial_config
from mmsparse.visualization.tables import Table, write_between

SOME = list(range(0, 300, 3))  # of 300 photographs in an order of classes, or of the first digits
OURS = 'Sparse-Tuning: Dense Adapter, EViT'
ROWS = {  # the config that gives model and optimiser; Table V's letters
    '(a) frozen host': 'mmsparse::sparsify/tiny_noop_frozen_digits.py',
    '(b) reduction only, EViT': 'mmsparse::sparsify/tiny_evit_frozen_digits.py',
    '(c) Dense Adapter only': 'mmsparse::sparsify/tiny_noop_dense_adapter_digits.py',
    f'(d) {OURS}': 'mmsparse::sparsify/tiny_evit_dense_adapter_digits.py',
    'AdaptFormer, EViT': 'mmsparse::peft_sparsify/tiny_adaptformer_evit_digits.py',
    'LoRA, EViT': 'mmsparse::peft_sparsify/tiny_lora_evit_digits.py',
    'Dense Adapter, ToMe': 'mmsparse::sparsify/tiny_tome_dense_adapter_digits.py',
    'Dense Adapter, DynamicViT': 'mmsparse::sparsify/tiny_dynamicvit_dense_adapter_digits.py',
}
REFERENCE = f'(d) {OURS}'
RIVAL = 'AdaptFormer, EViT'
ADAPTER, RATE = 'model.backbone.adapter', 'optim_wrapper.optimizer.lr'
# Both adapters changed alike, at the first keep rate: does one setting of the recipe decide between them?
VARIANTS = {
    'width 8': {f'{ADAPTER}.bottleneck': 8},
    'width 64': {f'{ADAPTER}.bottleneck': 64},
    'learning rate 1e-3': {RATE: 1e-3},
    'learning rate 1e-2': {RATE: 1e-2},
    'scale .1': {f'{ADAPTER}.scale': 0.1},
    'scale 1': {f'{ADAPTER}.scale': 1.0},
    'no dropout': {f'{ADAPTER}.dropout': 0.0},
    '100 training images': {'train_dataloader.dataset.indices': SOME},
}


def sparsifier(kind: str, keep: float) -> dict:
    """Return the options of a sparsifier at a keep rate in three stages; ToMe's counts leave about the same
    multiply-adds.
    """
    if kind == 'mmsparse.EViT':
        return dict(keep_rate=keep)
    if kind == 'mmsparse.DynamicViT':
        return dict(keep_rates=tuple(round(keep**stage, 3) for stage in (1, 2, 3)))
    return dict(r={0.7: 3, 0.5: 5}[keep]) if kind == 'mmsparse.ToMe' else {}


def configs(keep: float) -> Iterator[tuple[str, Config]]:
    """Give each row with its config."""
    for name, path in ROWS.items():
        cfg = config_copy(path)
        part = cfg.model.backbone.sparsifier
        part.update(sparsifier(part.type, keep))
        yield name, cfg


def planned(args: argparse.Namespace) -> Iterator[tuple[str, tuple[str, str], int, Config]]:
    """Give for every run its table, its row and variant, its seed and its config; seed by seed, so that an early look
    shows all rows.
    """

    def config(cfg, data, seed):
        return trial_config(cfg, data, seed, args.ledger.parent, args.precision)

    for seed in range(args.seeds):
        for data in args.data:
            for keep in args.keep:
                for name, cfg in configs(keep):
                    yield f'{data}, keep {keep}', (name, ''), seed, config(cfg, config_copy(SMALL[data]), seed)
        for data in args.variants:
            for variant, changes in VARIANTS.items():
                for name, cfg in configs(KEEP[0]):
                    if name in (REFERENCE, RIVAL):
                        sized = config_copy(SMALL[data])
                        for changed in (cfg, sized):
                            changed.merge_from_dict(changes)
                        yield f'{data}, keep {KEEP[0]}, variants', (name, variant), seed, config(cfg, sized, seed)


def collect(args: argparse.Namespace) -> dict[str, dict[tuple[str, str], dict[int, dict]]]:
    """Return the results by table, row and seed."""
    ledger, results = Ledger(args.ledger), {}
    for place, (name, variant), seed, cfg in planned(args):
        known = ledger.find(cfg)
        if known is None and not args.show:
            print(f'{time.strftime("%H:%M")} {place}, seed {seed}: {name}{variant and ", "}{variant} ...', flush=True)
            known = ledger.get(cfg, config=name, place=place, variant=variant, seed=seed)
        if known:
            results.setdefault(place, {}).setdefault((name, variant), {})[seed] = known
    return results


def table(rows: dict[tuple[str, str], dict[int, dict]], seeds: list[int]) -> Table:
    """Return one table: each row beside Sparse-Tuning in the same variant, seed by seed."""
    table = Table(('row', 'top-1 in %', 'difference to (d), points', '95 % interval', 'trainable', 'GFLOPs'))
    for (name, variant), runs in rows.items():
        reference = rows.get((REFERENCE, variant))
        cells = difference(runs, reference, seeds) if name != REFERENCE and reference else ['', '']
        accuracy, cost = (
            f'{mean(runs[seed][key] for seed in seeds):{form}}'
            for key, form in (('accuracy', '.1f'), ('gflops', '.3f'))
        )
        table.rows.append(
            [f'{name}{variant and ", "}{variant}', accuracy, *cells, f'{runs[seeds[0]]["trainable"]:,}', cost]
        )
    return table


def difference(runs: dict[int, dict], reference: dict[int, dict], seeds: list[int]) -> list[str]:
    """Return the mean paired difference and its 95 % interval, which needs two seeds that differ."""
    test = paired(*([some[seed]['accuracy'] for seed in seeds] for some in (runs, reference)))
    middle, half = test.difference.mean, test.difference.half
    if not half:
        return [f'{middle:+.2f}', '–']
    return [f'{middle:+.2f}', f'{middle - half:+.2f} to {middle + half:+.2f}']


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Finished runs are kept: the same command goes on.'):
        text = []
        for place, rows in collect(args).items():
            seeds = sorted(set.intersection(*(set(runs) for runs in rows.values())))  # those that all rows have
            precisions = sorted({runs[seed]['precision'] for runs in rows.values() for seed in seeds})
            title = ', '.join([f'## {place}', f'{len(seeds)} paired seeds', *precisions])
            text += [title, '', table(rows, seeds).markdown() if seeds else 'No seed has all rows yet.', '']
        text = '\n'.join(text)
        print(text)
        if args.out:
            write_between(args.out, text)
            print(f'Written to {args.out}.')


if __name__ == '__main__':
    main()
