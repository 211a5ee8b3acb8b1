"""What sparse-tuning is worth, on real data, on this machine, in minutes: the paper's Table V in small, and one row more.

    python tools/demo.py                  # scikit-learn's handwritten digits
    python tools/demo.py --data photos    # cats, deer and frogs, which the shipped host has never seen

Each row trains through the project's runner on the same frozen host, with the same data, recipe and seed; only adapter and sparsifier differ.
"""

import argparse
import csv
import time
from pathlib import Path
from statistics import mean

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from mmsparse.engine.reporting import reporting
from mmsparse.evaluation import published_macs
from mmsparse.registry import DATASETS

CONFIGS = dict(digits='configs/sparse_tuning/tiny_digits.py', photos='configs/sparse_tuning/tiny_photos.py')
COLUMNS = ('accuracy', 'trainable', 'GFLOPs', 'train img/s', 'test img/s')


def variants(backbone: dict) -> dict[str, dict]:
    """Return the changes to the Sparse-Tuning backbone that make each row."""
    only_x = dict(backbone['adapter'], inputs=('x',))
    return {
        'linear probe': dict(adapter=None, sparsifier=None),
        'reduction only': dict(adapter=None),
        'Dense Adapter only': dict(sparsifier=None),
        'AdaptFormer-style, reduction': dict(adapter=only_x),
        'Sparse-Tuning': {},
        'Sparse-Tuning, random host': dict(host=dict(backbone['host'], checkpoint=False)),
    }


def row_config(path: str, change: dict, name: str, seed: int, work_dir: Path) -> Config:
    """Return one row's config: validated once, at the end, and nothing saved."""
    cfg = Config.fromfile(path)
    cfg.model.backbone = {**cfg.model.backbone, **change}
    cfg.randomness.seed = seed
    cfg.train_cfg.val_interval = cfg.train_cfg.max_epochs
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=-1, save_last=False)
    cfg.default_hooks.pop('card')
    cfg.log_level = 'WARNING'
    cfg.experiment_name = f'{name} {seed}'.replace(' ', '_').replace(',', '')
    cfg.work_dir = str(work_dir / cfg.experiment_name)
    return cfg


def run(cfg: Config) -> dict[str, float]:
    """Train and validate one row."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    seconds = sorted(runner.message_hub.get_scalar('train/time').data[0])
    view = runner.model.backbone.view
    image = torch.zeros(1, 3, view.grid[0] * view.patch[0], view.grid[1] * view.patch[1])
    return {
        'accuracy': runner.message_hub.get_scalar('val/accuracy/top1').current(),
        'trainable': sum(p.numel() for p in runner.model.parameters() if p.requires_grad),
        'GFLOPs': published_macs(runner.model, image) / 1e9,
        'train img/s': cfg.train_dataloader.batch_size / seconds[len(seconds) // 2],
        'test img/s': test_speed(runner),
    }


def test_speed(runner: Runner) -> float:
    """Return the images per second of the network alone, the best of five batches."""
    runner.model.eval()
    batch = runner.model.data_preprocessor(next(iter(runner.val_dataloader)))
    seconds = []
    with torch.no_grad():
        for _ in range(5):
            start = time.perf_counter()
            runner.model(**batch, mode='predict')
            seconds.append(time.perf_counter() - start)
    return len(batch['inputs']) / min(seconds)


def raw_pixels(cfg: Config) -> dict[str, float]:
    """Return a logistic regression on the pixels, for scale."""
    parts = []
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = DATASETS.build({**loader.dataset, 'pipeline': []})
        items = [dataset[i] for i in range(len(dataset))]
        parts.append((torch.stack([torch.from_numpy(item['img'].copy()) for item in items]).flatten(1).numpy() / 255, [i['gt_label'] for i in items]))
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
            values = {key: mean(run[key] for run in runs) for key in runs[0]}
            scores = [run['accuracy'] for run in runs]
            spread = f' ({min(scores):.1f} to {max(scores):.1f})' if len(scores) > 1 else ''
            cells = [
                f'{values["accuracy"]:.1f}{spread}',
                f'{values["trainable"]:,.0f}',
                *(f'{values[key]:.3g}' if key in values else '' for key in COLUMNS[2:]),
            ]
            table.add_row(name, *cells)
            writer.writerow([name, *(round(values[key], 4) if key in values else '' for key in COLUMNS), min(scores), max(scores), len(scores)])
    Console(width=None if Console().is_terminal else 120).print(table)
    print(f'Also in {out}.')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', choices=list(CONFIGS), default='digits')
    parser.add_argument('--seeds', type=int, default=1, help='runs per row, with seeds 0, 1, ... (default: 1)')
    parser.add_argument('--random-host', action='store_true', help='add the row of Sparse-Tuning on a host with random weights')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    args = parser.parse_args()
    work_dir = args.work_dir / args.data
    work_dir.mkdir(parents=True, exist_ok=True)
    base = Config.fromfile(CONFIGS[args.data])
    rows = variants(base.model.backbone.to_dict())
    if not args.random_host:
        rows.pop('Sparse-Tuning, random host')
    with reporting(lambda: 'Nothing was saved.'):
        start = time.monotonic()
        results = {'raw pixels, logistic regression': [raw_pixels(base)]}
        for name, change in rows.items():
            print(f'{name} ...', flush=True)
            results[name] = [run(row_config(CONFIGS[args.data], change, name, seed, work_dir)) for seed in range(args.seeds)]
        classes = len(DATASETS.build(dict(base.val_dataloader.dataset)).metainfo['classes'])
        minutes = (time.monotonic() - start) / 60
        show(
            results,
            f'{args.data}: top-1 in %, chance {100 / classes:.0f}; {minutes:.1f} min, {torch.get_num_threads()} threads',
            work_dir / 'table.csv',
        )


if __name__ == '__main__':
    main()
