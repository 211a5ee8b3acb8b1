"""VTAB-1K in small: the layout of a few tasks on disk, and a config that trains the small host on it."""

from pathlib import Path

import numpy as np
from PIL import Image

from mmsparse.datasets.vtab.tasks import TASKS
from small_run import ROOT

CONFIG = """
_base_ = [
    '{root}/configs/_base_/models/tiny_shipped.py',
    '{root}/configs/_base_/datasets/vtab.py',
    '{root}/configs/_base_/schedules/adamw_vtab.py',
    '{root}/configs/_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LoRA', rank=2)),
    head=dict(num_classes={{{{_base_.data_preprocessor.num_classes}}}}),
)
_steps = [
    dict(type='mmsparse.LoadImage'),
    dict(type='Resize', scale=32, interpolation='bicubic', backend='pillow'),
    dict(type='PackInputs'),
]
_task = dict(data_root='{data}', pipeline=_steps)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=_task)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=_task)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_interval=1)
"""
COUNTS = {'train800': 8, 'val200': 2, 'test': 6}


def write_task(root: Path, task: str) -> Path:
    """Write pictures and lists of a task, labels 0, 1, …; return its folder."""
    random, folder = np.random.default_rng(0), root / task
    lists = {}
    for split, count in COUNTS.items():
        place = Path('images') / split.rstrip('0123456789')
        (folder / place).mkdir(parents=True)
        rows = [(place / f'{index:06d}.png', index % TASKS[task].classes) for index in range(count)]
        for path, _ in rows:
            Image.fromarray(random.integers(0, 256, (9, 13, 3), dtype=np.uint8)).save(folder / path)
        lists[split] = ''.join(f'{path} {label}\n' for path, label in rows)
    lists['train800val200'] = lists['train800'] + lists['val200']
    for split, text in lists.items():
        (folder / f'{split}.txt').write_text(text)
    return folder


def write_config(folder: Path) -> Path:
    """Write a config whose tasks lie in `folder`/data."""
    config = folder / 'small.py'
    config.write_text(CONFIG.format(root=ROOT, data=folder / 'data'))
    return config
