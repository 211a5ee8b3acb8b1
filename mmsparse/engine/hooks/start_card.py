"""Two cards: what is about to be trained, and what came out."""

import math
import re
import shlex
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop

from mmsparse.engine.learning_rates import rates
from mmsparse.engine.precision import running
from mmsparse.evaluation import published_macs, rows_per_layer
from mmsparse.evaluation.mac_scopes import counting
from mmsparse.evaluation.model_input import input_shape
from mmsparse.evaluation.token_watch import rows_taken
from mmsparse.models.backbones import SparseViT
from mmsparse.models.hosts.pixels import warning
from mmsparse.models.necks.tome import ToMe
from mmsparse.registry import HOOKS
from mmsparse.state.folder import CARD, TENSORS
from mmsparse.state.pipeline import of_clips
from mmsparse.state.saved_tensors import unwrapped
from mmsparse.utils.terminal import command, figure, figures, near, screens, show

SHARED = (TENSORS, CARD)  # of a state; the rest is for --resume


@HOOKS.register_module()
class CardHook(Hook):
    """Show host, trainable parameters, cost, tokens, data and recipe before training.

    After it, and after a test, show metrics, checkpoint, time and speed.

    Args:
        notes: rows that the first card gets besides, such as what of a folder was left out
            (`mmsparse.config.own_folder`).
    """

    priority = 'VERY_LOW'  # the other hooks have spoken, and the progress line has ended

    def __init__(self, notes: dict[str, str] | None = None):
        self.notes, self.metrics = notes or {}, {}

    def before_train(self, runner) -> None:
        self.start, self.first = time.monotonic(), runner.iter
        if runner.rank == 0:
            model = unwrapped(runner.model)
            show(
                runner.logger,
                'To be trained',
                {
                    **describe_start(model),
                    'data': data_row(runner),
                    **self.notes,
                    'recipe': recipe_row(runner),
                    'rate': rates(runner),
                },
            )

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.metrics = metrics or {}

    def after_train(self, runner) -> None:
        """The card waits for after_run, when the progress line has ended; the loop's state is as it is now."""
        self.minutes = (time.monotonic() - self.start) / 60

    def after_run(self, runner) -> None:
        if runner.rank == 0 and hasattr(self, 'minutes'):
            rows = {
                **outcome(runner, self.metrics),
                'time': f'{self.minutes:.1f} min',
                'speed': speed(runner, self.first),
            }
            show(runner.logger, 'Trained', rows, next_commands(runner))
        if runner.rank == 0 and hasattr(self, 'tested'):
            show(runner.logger, 'Tested', self.tested)

    def before_test(self, runner) -> None:
        self.test_start = time.monotonic()
        for handler in screens(runner.logger):  # LoggerHook's line with the same figures goes to the log file only
            handler.addFilter(lambda line: line.funcName != 'after_test_epoch')

    def after_test_epoch(self, runner, metrics=None) -> None:
        seconds, images = time.monotonic() - self.test_start, len(runner.test_dataloader.dataset)
        self.tested = {
            **test_figures(metrics or {}, getattr(runner.test_dataloader.dataset, 'metainfo', {}).get('classes')),
            'images': f'{images:,}',
            'precision': str(getattr(runner.test_loop, 'precision', 'float32')),
            'time': f'{seconds:.1f} s',
            'speed': f'{images / seconds:,.0f} img/s, loading included',
            'checkpoint': near(runner._load_from) if runner._load_from else 'none',
        }


def describe_start(model: torch.nn.Module) -> dict[str, str]:
    """Return what is known of a model before training: parameters; of a SparseViT also host, cost and tokens."""
    total = sum(p.numel() for p in model.parameters())
    trains = [p for p in model.parameters() if p.requires_grad]
    count, size = sum(p.numel() for p in trains), sum(p.numel() * p.element_size() for p in trains)
    rows = {'trainable': f'{count:,} of {total:,} parameters ({count / total:.2%}), {size / 1024:,.0f} KiB'}
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, SparseViT):
        return rows
    view = backbone.view
    height, width = image_size(model)
    grid = view.divide(height, width)
    image = next(model.parameters()).new_zeros(input_shape(model, 1, height, width))
    dense, sparse = (published_macs(model, image, dense=dense) / 1e9 for dense in (True, False))
    size = sum(p.numel() for p in backbone.host.parameters())
    what = f'clip of {image.shape[1]} frames' if image.dim() == 5 else 'image'
    cost = f'{sparse:.4g} GFLOPs per {what} of {height}×{width} pixels, dense host {dense:.4g}'
    return {
        'host': f'{view.name}, {size:,} parameters, weights: {view.source}',
        **rows,
        'cost': f'{cost} (multiply-adds, as papers count)',
        'tokens': stages((view.prefix + math.prod(grid)) * math.prod(image.shape[1:-3]), rows_per_layer(model, image)),
        **cut_counts(model, image),
        **({'pixels': f'WARNING: {said}'} if (said := warning(model)) else {}),
    }


def image_size(model: torch.nn.Module) -> tuple[int, int]:
    """Return height and width of a model's images: the crops of a segmentor, else what its host is built for."""
    view, crop = model.backbone.view, getattr(model.data_preprocessor, 'size', None)
    return tuple(crop) if crop else view.image_size


def cut_counts(model: torch.nn.Module, image: torch.Tensor) -> dict[str, str]:
    """Return how many pairs ToMe merges where there are fewer tokens than it is asked to merge."""
    if not any(isinstance(part, ToMe) for part in model.backbone.sparsifiers):
        return {}
    with counting(model, all_rows=True):
        taken = rows_taken(model.backbone, image, model)
    cut = [
        f'{type(part).__name__} merges {sum(merged)} of {sum(part.counts)} pairs asked for; by layer '
        f'{", ".join(map(str, merged))}'
        for part, merged in zip(model.backbone.sparsifiers, taken, strict=True)
        if isinstance(part, ToMe) and merged != list(part.counts)
    ]
    return {'cut': '; '.join(cut) + '. At most half of the patches present can merge at once'} if cut else {}


def stages(start: int, tokens: Sequence[int]) -> str:
    """Return the numbers of tokens and the layers in which they change.

    Args:
        start: tokens that enter the first layer.
        tokens: those that enter each layer's FFN.
    """
    changes = [
        f', {now} from layer {layer}'
        for layer, (before, now) in enumerate(pairwise([start, *tokens]), start=1)
        if now != before
    ]
    return f'{start}{"".join(changes)}'


def data_row(runner) -> str:
    """Return the classes and the numbers of images."""
    dataset = runner.train_dataloader.dataset
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    held_out = f', {len(runner.val_dataloader.dataset):,} for validation' if runner.val_loop is not None else ''
    named = f'{len(classes)} classes, ' if classes else ''
    return f'{dataset.__class__.__name__}: {named}{len(dataset):,} images for training{held_out}'


def recipe_row(runner) -> str:
    """Return optimiser, learning rate before its schedule, length, batch and precision."""
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        wrapper = next(iter(wrapper.values()))
    group = wrapper.param_groups[0]
    batch = runner.train_dataloader.batch_size
    length = (
        f'{runner.max_iters} iterations'
        if isinstance(runner.train_loop, IterBasedTrainLoop)
        else f'{runner.max_epochs} epochs'
    )
    processes = f' ({runner.world_size} × {batch})' if runner.world_size > 1 else ''
    steps = getattr(wrapper, '_accumulative_counts', 1)
    accumulated = f', gradients of {steps} batches per step' if steps > 1 else ''
    return (
        f'{type(wrapper.optimizer).__name__}, learning rate {group.get("initial_lr", group["lr"]):.2e}, {length}, '
        f'batch {batch * runner.world_size}{processes}{accumulated}, {running(wrapper)}, seed {runner.seed}'
    )


def outcome(runner, metrics: dict) -> dict[str, str]:
    """Return last and best metrics and where the checkpoints are, as the message hub keeps them over a resume."""
    known = runner.message_hub.runtime_info
    rows = {'last': figures(metrics) or 'not validated'}
    if known.get('best_ckpt'):
        epoch = re.search(r'epoch_(\d+)', Path(known['best_ckpt']).name)
        rows['best'] = (
            f'{known["best_score"]:.4g}' + (f' at epoch {epoch[1]}' if epoch else '') + f', {known["best_ckpt"]}'
        )
    rows['checkpoint'] = str(known.get('last_ckpt', 'none written'))
    return rows


def next_commands(runner) -> dict[str, str]:
    """Return what to call next, with the config that the run has written and its best state, else its last one."""
    known = runner.message_hub.runtime_info
    state = known.get('best_ckpt') or known.get('last_ckpt')
    config, name = Path(runner.work_dir) / Path(runner.cfg.filename or '').name, Path(state or '').name
    if not (state and (Path(state) / CARD).is_file() and config.is_file()):
        return {}
    pipeline = runner.cfg.test_dataloader.dataset.get('pipeline', []) if runner.cfg.get('test_dataloader') else []
    return {
        'test': command('test', config, state),
        'infer': command('infer', state, 'clip.mp4' if of_clips(pipeline) else 'photo.jpg'),
        'share': shlex.join(
            ['tar', '-cf', f'{name}.tar', '-C', near(Path(state).parent), *(f'{name}/{file}' for file in SHARED)]
        ),
    }


def test_figures(metrics: dict, classes: Sequence[str] | None) -> dict[str, str]:
    """Return metrics by name, and those that have a value for each class by class."""
    by_class = {
        name.split('/')[-1].removesuffix('_classwise'): values
        for name, values in metrics.items()
        if isinstance(values, list)
    }
    rows = {name: figure(value) for name, value in metrics.items() if not isinstance(value, list)}
    for number, values in enumerate(zip(*by_class.values())):
        rows[f'class {classes[number] if classes else number}'] = figures(dict(zip(by_class, values)))
    return rows


def speed(runner, first: int) -> str:
    """Return the median speed of this run's iterations, loading included."""
    if runner.iter == first:
        return 'nothing was left to train'
    seconds = runner.message_hub.get_scalar('train/time').data[0][-(runner.iter - first) or None :]
    return f'{runner.train_dataloader.batch_size * runner.world_size / np.median(seconds):,.0f} img/s (median)'
