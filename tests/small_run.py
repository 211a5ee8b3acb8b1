"""A tiny classification run on files that the test writes: what the tests of tools and engine share."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from hosts import timm_host

ROOT = Path(__file__).parents[1]
TORCHRUN = Path(sys.executable).with_name('torchrun')
CONFIG = """
_base_ = ['{root}/configs/_base_/default_runtime.py']
backbone = dict(
    type='mmsparse.SparseViT',
    host={host},
    adapter=dict(type='mmsparse.DenseAdapter', bottleneck=4{dropout}),
    sparsifier=dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.7),
)
head = dict(type='LinearClsHead', num_classes=3, in_channels=32, init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01))
model = dict(type='ImageClassifier', backbone=backbone, head=head)
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True, num_classes=3)
augment = {augment}
load, pack = dict(type='LoadImageFromFile'), dict(type='PackInputs')
data = dict(type='CustomDataset', with_label=True)
train_dataloader = dict(batch_size=8, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
                        dataset=dict(data, data_root='{data}/train', pipeline=[load, *augment, pack]))
val_dataloader = dict(batch_size=16, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                      dataset=dict(data, data_root='{data}/test', pipeline=[load, pack]))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='Accuracy', topk=(1,))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-2))
param_scheduler = [dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
                   dict(type='CosineAnnealingLR', begin=1, T_max=2, convert_to_iter_based=True)]
train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
val_cfg = test_cfg = dict()
"""
FLIP_AND_CROP = "[dict(type='RandomCrop', crop_size=32, padding=4), dict(type='RandomFlip', prob=0.5)]"


def write_images(folder: Path, number: int, classes: int = 3) -> None:
    """Write PNGs of 32×32 noise, brighter for higher classes, in class folders."""
    random = np.random.default_rng(number)
    for index in range(number):
        label = index % classes
        path = folder / f'class_{label}' / f'{index:03d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((random.integers(0, 128, (32, 32, 3)) + 60 * label).astype(np.uint8)).save(path)


def write_run(
    folder: Path, train: int = 32, test: int = 20, augment: str = FLIP_AND_CROP, dropout: float = 0.1
) -> Path:
    """Write data and config; return the config's path."""
    write_images(folder / 'data/train', train)
    write_images(folder / 'data/test', test)
    config = folder / 'small.py'
    config.write_text(
        CONFIG.format(
            root=ROOT,
            host=timm_host(width=32, depth=4, heads=2),
            data=folder / 'data',
            augment=augment,
            dropout=f', dropout={dropout}',
        )
    )
    return config


def command(*args, folder: Path, status: int = 0) -> subprocess.CompletedProcess:
    """Run ``python tools/...`` or ``bash tools/...`` in a folder and check its exit status; output is captured as text."""
    words = [str(arg) for arg in args]
    words[0] = str(ROOT / words[0])
    start = ['bash'] if words[0].endswith('.sh') else [sys.executable]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])  # torchrun of this environment
    env = {
        **os.environ,
        'PYTHONPATH': os.pathsep.join([str(ROOT), str(folder)]),
        'PATH': path,
        'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
    }
    done = subprocess.run(start + words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == status, (
        f'{words} ended with {done.returncode}, expected {status}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}'
    )
    return done


def two_processes(script: Path) -> subprocess.CompletedProcess:
    """Run a script of a test as two processes; the tests' own modules can be imported in it."""
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
    env = {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    launch = [sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    done = subprocess.run([*launch, str(script)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def tool(name, *args) -> int:
    """Run a tool in this process, as ``python tools/NAME ARGS``; return its exit status."""
    before = sys.argv
    sys.argv = [f'tools/{name}', *map(str, args)]
    try:
        runpy.run_path(str(ROOT / 'tools' / name), run_name='__main__')
    except SystemExit as end:
        if isinstance(end.code, str):  # what Python itself does with a message
            sys.stderr.write(f'{end.code}\n')
            return 1
        return end.code
    finally:
        sys.argv = before
    return 0


def refused(capsys, name, *args) -> str:
    """The one message of a run that must end with status 2."""
    capsys.readouterr()
    assert tool(name, *args) == 2
    text = capsys.readouterr().err
    assert 'Traceback' not in text and text.count('error:') == 1, text
    return text
