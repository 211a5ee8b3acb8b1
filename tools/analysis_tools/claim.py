"""Put the paper's central claim to the test in small: do Dense Adapters make up for the tokens that a sparsifier takes?

    python tools/analysis_tools/claim.py --out docs/claim.md

The rows are the paper's Table V (a) to (d), other adapters under the same reduction, and Sparse-Tuning with other sparsifiers, on the shipped small
ViT. Every row has the same seeds, so differences are paired: their mean and its 95 % interval (Student's t) are printed. Finished runs stay in the
ledger that tools/analysis_tools/compare.py uses too: called again, the tool trains only what is missing.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from mmengine.config import Config
from scipy.stats import ttest_rel

from mmsparse.engine.reporting import reporting
from mmsparse.evaluation.trials import SMALL, Ledger, trial_config
from mmsparse.visualization.tables import Table, write_between

KEEP = (0.7, 0.5)
OURS = 'Sparse-Tuning: Dense Adapter, EViT'
ROWS = {  # the config that gives model and optimiser; Table V's letters
    '(a) frozen host': 'configs/sparsify/tiny_noop_frozen_digits.py',
    '(b) reduction only, EViT': 'configs/sparsify/tiny_evit_frozen_digits.py',
    '(c) Dense Adapter only': 'configs/sparsify/tiny_noop_dense_adapter_digits.py',
    f'(d) {OURS}': 'configs/sparsify/tiny_evit_dense_adapter_digits.py',
    'AdaptFormer, EViT': 'configs/peft_sparsify/tiny_adaptformer_evit_digits.py',
    'LoRA, EViT': 'configs/peft_sparsify/tiny_lora_evit_digits.py',
    'Dense Adapter, ToMe': 'configs/sparsify/tiny_tome_dense_adapter_digits.py',
    'Dense Adapter, DynamicViT': 'configs/sparsify/tiny_dynamicvit_dense_adapter_digits.py',
}
REFERENCE = f'(d) {OURS}'


def sparsifier(kind: str, keep: float) -> dict:
    """Return the options of a sparsifier at a keep rate in three stages; ToMe's counts leave about the same multiply-adds."""
    if kind == 'mmsparse.EViT':
        return dict(keep_rate=keep)
    if kind == 'mmsparse.DynamicViT':
        return dict(keep_rates=tuple(round(keep**stage, 3) for stage in (1, 2, 3)))
    return dict(r={0.7: 3, 0.5: 5}[keep]) if kind == 'mmsparse.ToMe' else {}


def configs(keep: float) -> Iterator[tuple[str, Config]]:
    """Give each row with its config."""
    for name, path in ROWS.items():
        cfg = Config.fromfile(path)
        part = cfg.model.backbone.sparsifier
        part.update(sparsifier(part.type, keep))
        yield name, cfg


def collect(args: argparse.Namespace) -> dict[tuple[str, float], dict[str, list[dict]]]:
    """Return the results of every row, in the order of the seeds, by data and keep rate."""
    ledger, results = Ledger(args.ledger), {}
    for seed in range(args.seeds):
        for data in args.data:
            for keep in args.keep:
                for name, cfg in configs(keep):
                    cfg = trial_config(cfg, Config.fromfile(SMALL[data]), seed, args.ledger.parent)
                    known = ledger.find(cfg)
                    if known is None and not args.show:
                        print(f'{time.strftime("%H:%M")} {data}, keep {keep}, seed {seed}: {name} ...', flush=True)
                        known = ledger.get(cfg, config=name, data=data, seed=seed, keep=keep)
                    if known:
                        results.setdefault((data, keep), {}).setdefault(name, {})[seed] = known
    return results


def table(rows: dict[str, dict[int, dict]]) -> Table:
    """Return the table of one data set and keep rate: each row beside Sparse-Tuning, seed by seed."""
    table = Table(('row', 'top-1 in %', 'difference to (d), points', '95 % interval', 'trainable', 'GFLOPs'))
    for name, runs in rows.items():
        cells = ['', '']
        if name != REFERENCE and REFERENCE in rows:
            cells = difference(runs, rows[REFERENCE])
        some = next(iter(runs.values()))
        accuracy = f'{mean(run["accuracy"] for run in runs.values()):.1f}'
        table.rows.append([name, accuracy, *cells, f'{some["trainable"]:,}', f'{mean(run["gflops"] for run in runs.values()):.3f}'])
    return table


def difference(runs: dict[int, dict], reference: dict[int, dict]) -> list[str]:
    """Return the mean difference over the common seeds and its 95 % interval, which needs two seeds."""
    seeds = sorted(runs.keys() & reference.keys())
    ours, theirs = ([some[seed]['accuracy'] for seed in seeds] for some in (runs, reference))
    if len(seeds) < 2:
        return ['', 'needs two seeds']
    interval = ttest_rel(ours, theirs).confidence_interval(0.95)
    return [f'{mean(ours) - mean(theirs):+.2f}', f'{interval.low:+.2f} to {interval.high:+.2f}']


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', choices=list(SMALL), default=list(SMALL))
    parser.add_argument('--keep', nargs='+', type=float, choices=KEEP, default=list(KEEP))
    parser.add_argument('--seeds', type=int, default=5, help='runs per row, with seeds 0, 1, ... (default: 5)')
    parser.add_argument('--ledger', type=Path, default=Path('work_dirs/compare/results.jsonl'))
    parser.add_argument('--out', type=Path, help='a page of Markdown: the text between its two marker comments is replaced')
    parser.add_argument('--show', action='store_true', help='train nothing: leave out what is not known yet')
    args = parser.parse_args()
    with reporting(lambda: 'Finished runs are kept: the same command goes on.'):
        text = []
        for (data, keep), rows in collect(args).items():
            seeds = {len(runs) for runs in rows.values()}
            text += [f'## {data}, keep {keep}, {"/".join(map(str, sorted(seeds)))} paired seeds', '', table(rows).markdown(), '']
        text = '\n'.join(text)
        print(text)
        if args.out:
            write_between(args.out, text)
            print(f'Written to {args.out}.')


if __name__ == '__main__':
    main()
