"""The tiny run that campaigns disturb, and what has to be the same however it was disturbed."""

from __future__ import annotations

import json
from collections.abc import Callable
from multiprocessing import Value
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from PIL import Image

from mmsparse.engine.runner import SparseRunner
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.state.files import newest, read_resume, read_state
from mmsparse.state.pack import pack

CONFIG = """
_base_ = ['mmsparse::_base_/default_runtime.py']
backbone = dict(
    type='mmsparse.SparseViT',
    host=dict(type='mmsparse.TimmViT', name='vit_tiny_patch16_224', checkpoint=False, img_size=32, patch_size=8,
              embed_dim=32, depth=4, num_heads=2),
    adapter=dict(type='mmsparse.DenseAdapter', bottleneck=4, dropout=0.1),
    sparsifier=dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.7),
)
model = dict(type='ImageClassifier', backbone=backbone, head=dict(type='LinearClsHead', num_classes=3, in_channels=32))
data_preprocessor = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True, num_classes=3)
load = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32))]
augment = [dict(type='RandomCrop', crop_size=32, padding=4), dict(type='RandomFlip', prob=0.5)]
data = dict(type='CustomDataset', with_label=True)
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(loader, batch_size=4, sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(
    data, data_root='{data}/train', pipeline=[*load, *augment, dict(type='PackInputs')]))
val_dataloader = dict(loader, batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(
    data, data_root='{data}/test', pipeline=[*load, dict(type='PackInputs')]))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='Accuracy', topk=(1,))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-2))
param_scheduler = [dict(type='mmsparse.CosineLR', by_epoch=False)]
train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
val_cfg = test_cfg = dict()
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=2, max_keep_ckpts=1), card=None, progress=None, result=None)
"""
EVERYTHING_RANDOM = """
_base_ = ['plain.py']
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(sparsifier=[
        dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.7), dict(type='mmsparse.DyTDispatcher')]),
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8)]),
    head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
)
optim_wrapper = dict(accumulative_counts=5)
custom_hooks = [
    dict(type='EMAHook', momentum=0.1), dict(type='mmsparse.KeepRateWarmupHook', start=0, epochs=2)]
"""
TRAIN, TEST, BATCH, EPOCHS = 48, 20, 4, 3


def steps(processes: int = 1) -> int:
    """Return how many iterations a run has."""
    return EPOCHS * TRAIN // BATCH // processes


def write_configs(folder: Path) -> tuple[Path, Path]:
    """Write pictures and two configs: a plain one, and one in which everything is random."""
    random = np.random.default_rng(0)
    for split, number in (('train', TRAIN), ('test', TEST)):
        for index in range(number):
            path = folder / f'data/{split}/class_{index % 3}/{index:03d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = random.integers(0, 128, (32, 32, 3)) + 60 * (index % 3)
            Image.fromarray(noise.astype(np.uint8)).save(path)
    plain, everything = folder / 'plain.py', folder / 'everything_random.py'
    plain.write_text(CONFIG.format(data=folder / 'data'))
    everything.write_text(EVERYTHING_RANDOM)
    return plain, everything


class Position(Hook):
    """Tells the parent process how far a run is: iterations that were trained (-1 before the first begins), and
    whether it validates.
    """

    priority = 'VERY_LOW'  # behind the optimiser, before the hook that saves and leaves

    def __init__(self):
        self.iteration, self.validating = Value('q', -1), Value('b', 0)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Say where this start begins."""
        self.iteration.value = max(self.iteration.value, runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Count the step."""
        self.iteration.value = runner.iter + 1

    def before_val(self, runner) -> None:
        """Begin."""
        self.validating.value = 1

    def after_val(self, runner) -> None:
        """End."""
        self.validating.value = 0


def hooked(*hooks: Hook, ended: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """Return what lets every run of a process have more hooks, of which its config and its states know nothing.

    Args:
        hooks: as for the runner.
        ended: called when training has ended, however it did.
    """

    def install() -> None:
        whole = SparseRunner.train

        def train(runner):
            for hook in hooks:
                runner.register_hook(hook)
            try:
                return whole(runner)
            finally:
                ended()

        SparseRunner.train = train

    return install


def outcome(work_dir: Path) -> dict:
    """Return what has to be the same: weights, optimiser, schedules, averages, and the metrics of the last epoch."""
    state = read_state(newest(work_dir))
    resume = read_resume(state)
    info = resume['message_hub']['runtime_info']
    plain, tensors = pack({key: resume[key] for key in ('optimizer', 'param_schedulers')})
    averages = {name: value for name, value in resume.get('ema_state_dict', {}).items() if torch.is_tensor(value)}
    return dict(
        iteration=state.card.iter,
        weights=state.card.sha256,
        optimiser=digest(tensors),
        schedules=json.dumps(plain, sort_keys=True),
        averages=digest(averages),
        best=info.get('best_score'),
        metrics=metrics(work_dir),
    )


def metrics(work_dir: Path) -> dict:
    """Return what the last validation gave, whichever start made it."""
    lines = [line for log in sorted(work_dir.glob('*/vis_data/scalars.json')) for line in log.read_text().splitlines()]
    found = [entry for line in lines if 'accuracy/top1' in (entry := json.loads(line))]
    return {key: value for key, value in (found[-1] if found else {}).items() if key.startswith('accuracy')}


def differing(ours: dict, expected: dict) -> str:
    """Return what is not the same, for people to read; '' where all is."""
    keys = [key for key in ours if ours[key] != expected[key]]
    return '; '.join(f'{key}: {ours[key]!r:.80}, expected {expected[key]!r:.80}' for key in keys)


def logged(work_dir: Path) -> str:
    """Return the logs of all starts."""
    return '\n'.join(log.read_text() for log in sorted(work_dir.glob('*/*.log')))
