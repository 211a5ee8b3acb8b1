"""What sparse-tuning is worth, on real data, on this machine, in minutes: the paper's Table V in small, and one row
more.

    python tools/demo.py                  # scikit-learn's handwritten digits
    python tools/demo.py --data photos    # cats, deer and frogs, which the shipped host has never seen

Each row trains through the project's runner on the same frozen host, with the same data and seeds, by its config in
configs/sparsify. Only adapter and sparsifier differ, and where there is no adapter, the head's learning rate.
"""

import argparse
import csv
import time
from copy import deepcopy
from pathlib import Path
from statistics import mean

from mmsparse.cli.options import SMALL, add_precision
from mmsparse.cli.reporting import reporting


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', choices=list(SMALL), default='digits')
    parser.add_argument('--seeds', type=int, default=1, help='runs per row, with seeds 0, 1, ... (default: 1)')
    parser.add_argument(
        '--random-host', action='store_true', help='add the row of Sparse-Tuning on a host with random weights'
    )
    parser.add_argument(
        '--ledger',
        type=Path,
        help='keep finished runs in this file and take them from it, as tools/analysis_tools/compare.py does',
    )
    add_precision(parser, 'as the configs say: auto')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    args = parser.parse_args()
    if args.seeds < 1:
        parser.error('--seeds expects at least 1.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from mmsparse.analysis.trials import Ledger, config_copy, spread, trial, trial_config
from mmsparse.registry import DATASETS

ROWS = {
    'linear probe': 'noop_frozen',
    'reduction only': 'evit_frozen',
    'Dense Adapter only': 'noop_dense_adapter',
    'Sparse-Tuning': 'evit_dense_adapter',
}
COLUMNS = ('accuracy', 'trainable', 'gflops', 'train img/s', 'test img/s')


def variants() -> dict[str, Config]:
    """Return each row's config."""
    rows = {name: config_copy(f'mmsparse::sparsify/tiny_{stem}_digits.py') for name, stem in ROWS.items()}
    ours = rows['Sparse-Tuning']
    only_x, random_host = deepcopy(ours), deepcopy(ours)
    only_x.model.backbone.adapter.inputs = ('x',)
    random_host.model.backbone.host.checkpoint = False
    rows.pop('Sparse-Tuning')
    return {
        **rows,
        'AdaptFormer-style, reduction': only_x,
        'Sparse-Tuning': ours,
        'Sparse-Tuning, random host': random_host,
    }


def raw_pixels(cfg: Config) -> dict[str, float]:
    """Return a logistic regression on the pixels, for scale."""
    parts = []
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = DATASETS.build({**loader.dataset, 'pipeline': []})
        items = [dataset[i] for i in range(len(dataset))]
        parts.append(
            (
                torch.stack([torch.from_numpy(item['img'].copy()) for item in items]).flatten(1).numpy() / 255,
                [i['gt_label'] for i in items],
            )
        )
    (x, y), (x_test, y_test) = parts
    model = LogisticRegression(max_iter=500).fit(x, y)
    return {'accuracy': 100 * model.score(x_test, y_test), 'trainable': model.coef_.size + model.intercept_.size}


def show(results: dict[str, list[dict]], title: str, out: Path) -> None:
    """Print the table and write it as CSV; several seeds give mean and range."""
    table = Table('', *COLUMNS, title=title)
    with out.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['method', *COLUMNS, 'lowest accuracy', 'highest accuracy', 'seeds'])
        for name, runs in results.items():
            values = {key: mean(run[key] for run in runs) for key in COLUMNS if key in runs[0]}
            scores = [run['accuracy'] for run in runs]
            cells = [
                f'{values["accuracy"]:.1f}{spread(runs)}',
                f'{values["trainable"]:,.0f}',
                *(f'{values[key]:.3g}' if key in values else '' for key in COLUMNS[2:]),
            ]
            table.add_row(name, *cells)
            writer.writerow(
                [
                    name,
                    *(round(values[key], 4) if key in values else '' for key in COLUMNS),
                    min(scores),
                    max(scores),
                    len(scores),
                ]
            )
    Console(width=None if Console().is_terminal else 120).print(table)
    print(f'Also in {out}.')


def main() -> None:
    args = parse_args()
    work_dir = args.work_dir / args.data
    work_dir.mkdir(parents=True, exist_ok=True)
    base = config_copy(SMALL[args.data])
    rows = variants()
    if not args.random_host:
        rows.pop('Sparse-Tuning, random host')
    with reporting(lambda: 'Finished runs are in the ledger.' if args.ledger else 'Nothing was saved.'):
        start = time.monotonic()
        ledger = Ledger(args.ledger) if args.ledger else None
        results = {'raw pixels, logistic regression': [raw_pixels(base)]}
        for name, cfg in rows.items():
            print(f'{name} ...', flush=True)
            trials = {seed: trial_config(cfg, base, seed, work_dir, args.precision) for seed in range(args.seeds)}
            results[name] = [
                ledger.get(one, config=name, data=args.data, seed=seed) if ledger else trial(one)
                for seed, one in trials.items()
            ]
        classes = len(DATASETS.build(dict(base.val_dataloader.dataset)).metainfo['classes'])
        precision = ', '.join(
            sorted({one['precision'] for runs in results.values() for one in runs if 'precision' in one})
        )
        minutes = (time.monotonic() - start) / 60
        show(
            results,
            f'{args.data}: top-1 in %, chance {100 / classes:.0f}; {minutes:.1f} min, {torch.get_num_threads()} '
            f'threads, {precision}',
            work_dir / 'table.csv',
        )


if __name__ == '__main__':
    main()
