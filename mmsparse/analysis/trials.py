"""Train a config on small data, and keep what came out, so that a comparison that is interrupted goes on where it was.

Rows of one comparison differ in backbone, model type, hooks and optimiser; data, head, schedule and seeds are the same
for all.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from statistics import mean, median

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mmsparse.analysis.memory import saved_bytes
from mmsparse.analysis.timing import interleave, speedup
from mmsparse.config.read import read_config
from mmsparse.config.vtab import KEY as TASK
from mmsparse.engine.precision import precision_of, set_precision
from mmsparse.errors import InputError
from mmsparse.evaluation.cost import published_macs, rows_per_layer
from mmsparse.models.backbones import SparseViT
from mmsparse.registry import RUNNERS
from mmsparse.state.card import plain

DATA = ('data_preprocessor', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator')
DATA += ('test_evaluator',)
MOST = 100  # images over which a cost is averaged
# Hooks that look on.
SILENT = ('timer', 'logger', 'checkpoint', 'visualization', 'class_count', 'finite_loss', 'card', 'result')
SILENT += ('progress', 'interrupt')
USUAL = {  # the others, as every config has them
    'param_scheduler': dict(type='ParamSchedulerHook'),
    'sampler_seed': dict(type='DistSamplerSeedHook'),
    'epoch_seed': dict(type='mmsparse.EpochSeedHook'),
}
# What does not change the outcome.
LOCAL = ('work_dir', 'experiment_name', 'log_level', 'default_hooks', 'visualizer', 'vis_backends', 'filename')


@cache
def _parsed(path: str, task: str | None) -> Config:
    return read_config(path, {TASK: task} if task else None)


def config_copy(path: str | Path, task: str | None = None) -> Config:
    """Read a config, for one task of a benchmark if it is named, a copy each time: in a comparison parsing it once per
    run takes longer than copying.
    """
    return deepcopy(_parsed(str(path), task))


def trial_config(cfg: Config, data: Config, seed: int, work_dir: Path, precision: str | None = None) -> Config:
    """Return a config that trains the model of one on the data of another, validates once and saves nothing.

    Args:
        cfg: gives model, optimiser, schedule and hooks.
        data: gives data, evaluators and the number of classes.
        work_dir: parent of the run's folder of logs.
        precision: number format, instead of the config's.
    """
    cfg = deepcopy(cfg)
    if precision:
        set_precision(cfg, precision)
    for key in DATA:
        cfg[key] = deepcopy(data[key])
    cfg.model.head.num_classes = data.model.head.num_classes
    cfg.randomness.seed = seed
    cfg.train_cfg.val_interval = cfg.train_cfg.max_epochs
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=-1, save_last=False)
    for hook in ('card', 'result'):
        cfg.default_hooks.pop(hook, None)
    cfg.log_level = 'ERROR'
    cfg.experiment_name = key_of(cfg)[:16]
    cfg.work_dir = str(work_dir / cfg.experiment_name)
    return cfg


def key_of(cfg: Config) -> str:
    """Return a digest of all that changes a config's outcome, also the number format that it comes to here."""
    every = plain(cfg.to_dict())
    every['optim_wrapper']['dtype'] = precision_of(every['optim_wrapper'])
    settings = {key: value for key, value in every.items() if key not in LOCAL}
    hooks = {
        name: hook
        for name, hook in every.get('default_hooks', {}).items()
        if name not in SILENT and hook != USUAL.get(name)
    }
    settings |= {'default_hooks': hooks} if hooks else {}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def trial(cfg: Config) -> dict:
    """Train, validate and time.

    Returns:
        As `short_trial`, and ``tokens`` that enter the first layer and then each layer's FFN (first test image);
        ``train img/s`` (median step, loading included); ``test img/s`` of the backbone alone (median of five rounds);
        ``speed``, that over the frozen host's without any part, both run in turns; ``saved``, bytes per image that a
        training step keeps for its backward pass.
    """
    runner = RUNNERS.build(cfg)
    runner.train()
    saved = _saved(runner)
    model, batch = _ready(runner)
    seconds = _in_turns(model.backbone, batch['inputs'])
    view = model.backbone.view
    steps = runner.message_hub.get_scalar('train/time').data[0]
    return _outcome(runner, batch) | {
        'tokens': [view.prefix + view.patches, *rows_per_layer(model, batch['inputs'][:1])],
        'train img/s': cfg.train_dataloader.batch_size / median(steps),
        'test img/s': len(batch['inputs']) / median(seconds['own']),
        'speed': speedup(seconds['host'], seconds['own']).median,
        'saved': saved,
    }


def short_trial(cfg: Config) -> dict:
    """Train and validate, in as little time as a CPU needs.

    Attention is not fused: in bfloat16 its backward pass by torch 2.11 took 59 % of a training step (one core with
    AVX-512), and steps are 1.5 to 1.9 times as fast without it.

    Returns:
        ``precision``, the number format of training; ``accuracy`` in %; ``trainable`` parameters and their ``kib``;
        ``gflops`` (multiply-adds / 1e9 per image, as papers count).
    """
    runner = RUNNERS.build(cfg)
    with sdpa_kernel(SDPBackend.MATH):
        runner.train()
    return _outcome(runner, _ready(runner)[1])


def _ready(runner: Runner) -> tuple[nn.Module, dict]:
    """The model as it tests, and the first test batch."""
    model = runner.model.eval()
    return model, model.data_preprocessor(next(iter(runner.val_dataloader)))


def _outcome(runner: Runner, batch: dict) -> dict:
    trains = [p for p in runner.model.parameters() if p.requires_grad]
    return {
        'precision': precision_of(runner.cfg.optim_wrapper),
        'accuracy': runner.message_hub.get_scalar('val/accuracy/top1').current(),
        'trainable': sum(p.numel() for p in trains),
        'kib': sum(p.numel() * p.element_size() for p in trains) / 1024,
        'gflops': _macs(runner.model, batch['inputs']) / 1e9,
    }


def _macs(model: nn.Module, images: Tensor) -> float:
    """Multiply-adds of one image; where parts decide by image, the mean over a batch, at most `MOST`."""
    by_image = any(part.by_image for part in model.backbone.sparsifiers)
    return mean(published_macs(model, image) for image in images[: MOST if by_image else 1].split(1))


def _saved(runner: Runner) -> float:
    model = runner.model.train()
    batch = model.data_preprocessor(next(iter(runner.train_dataloader)), training=True)
    with runner.optim_wrapper.optim_context(model):
        return saved_bytes(model, lambda: model(**batch, mode='loss')) / len(batch['inputs'])


@torch.no_grad()
def _in_turns(backbone: SparseViT, images: Tensor) -> dict[str, list[float]]:
    """Return the seconds of a backbone, and of its host without adapters and sparsifiers."""
    calls = {
        'own': lambda: backbone(images),
        'host': lambda: backbone.outputs(backbone.encode(images, sparsify=False, adapt=False)),
    }
    return interleave(calls, warmup=1)


def spread(runs: Sequence[dict]) -> str:
    """Return lowest and highest accuracy of several runs in brackets, nothing for one."""
    scores = [run['accuracy'] for run in runs]
    return f' ({min(scores):.1f} to {max(scores):.1f})' if len(scores) > 1 else ''


class Ledger:
    """Results as lines of JSON, each under the digest of its config. Several processes may share one.

    Args:
        path: appended to; made where it is missing.
    """

    def __init__(self, path: Path):
        self.path = path

    def find(self, cfg: Config) -> dict | None:
        """Return the result of a config, or None.

        Raises:
            InputError: a line of the file is not a result.
        """
        key = key_of(cfg)
        for number, line in enumerate(self.path.read_text().splitlines() if self.path.exists() else [], start=1):
            try:
                entry = json.loads(line)
                if entry['key'] == key:
                    return entry['result']
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f'{self.path}, line {number}: not a result ({error}). Delete the line, and its trial runs again.'
                ) from error
        return None

    def get(self, cfg: Config, run: Callable[[Config], dict] | None = None, **notes) -> dict:
        """Return the result of a config; where it is not known, train it and write it down with the notes.

        Args:
            cfg: of the trial.
            run: what trains it; None: `trial`.
            notes: for readers of the file.
        """
        if (known := self.find(cfg)) is not None:
            return known
        started = time.process_time()
        result = (run or trial)(cfg)
        entry = dict(
            key=key_of(cfg),
            **notes,
            threads=torch.get_num_threads(),
            cpu_seconds=round(time.process_time() - started, 1),
            finished=time.strftime('%Y-%m-%d %H:%M:%S'),
            result=result,
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open('a') as file:
            file.write(json.dumps(entry) + '\n')
        return result
