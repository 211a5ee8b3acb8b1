"""MMEngine's checkpoint dictionary, which hooks read and change: made of a run to save, or of a state to load."""

from __future__ import annotations

from pathlib import Path

from mmengine.runner import BaseLoop

from mmsparse.engine.random_state import random_state
from mmsparse.engine.recipe import START_ANEW, compare
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import digest, tensor_differences
from mmsparse.state.agreement import full_state_dict, other_settings
from mmsparse.state.card import describe, plain
from mmsparse.state.files import read_resume, read_state, write_state
from mmsparse.state.pack import pack
from mmsparse.state.resume_form import REMEDY
from mmsparse.state.saved_tensors import adapter_tensors, unwrapped


def of_run(runner, meta: dict, gradients: list, optimizer: bool, schedules: bool) -> dict:
    """Return what a run has to save, the whole network included.

    Args:
        runner: in training.
        meta: epoch, iter and what else describes the state.
        gradients: of each process, that wait for their step.
        optimizer, schedules: whether their states belong to it.
    """
    hub = runner.message_hub.state_dict()
    # What plain values can express. Histories of scalars are for logs; a resumed run begins new ones.
    info = {key: value for key, value in hub['runtime_info'].items() if key != 'cfg' and _packs(value)}
    hub = dict(log_scalars={}, runtime_info=info, resumed_keys={key: hub['resumed_keys'][key] for key in info})
    checkpoint = dict(
        meta=meta, state_dict=unwrapped(runner.model).state_dict(), message_hub=hub, random=random_state()
    )
    if optimizer:
        checkpoint['optimizer'] = runner.optim_wrapper.state_dict()
    if gradients:
        checkpoint['gradients'] = gradients
    if schedules and runner.param_schedulers is not None:
        checkpoint['param_schedulers'] = _schedules(runner.param_schedulers)
    return checkpoint


def write_run(runner, target: Path, checkpoint: dict, resume: bool) -> None:
    """Write a checkpoint as a state: of the network what trains, and a card.

    Args:
        target: folder of the state.
        checkpoint: as `of_run` and the hooks have made it.
        resume: whether one can go on from the state.

    Raises:
        InputError: a number in it is infinite or none; nothing is written then.
    """
    model, meta = unwrapped(runner.model), checkpoint['meta']
    names = adapter_tensors(model).keys()
    tensors = {name: value for name, value in checkpoint.pop('state_dict').items() if name in names}
    if 'ema_state_dict' in checkpoint:
        # do not move, so their average is what they are
        frozen = {f'module.{name}' for name in model.state_dict().keys() - names}
        checkpoint['ema_state_dict'] = {
            key: value for key, value in checkpoint['ema_state_dict'].items() if key not in frozen
        }
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if broken := [name for name, value in tensors.items() if name in trains and not value.isfinite().all()]:
        raise InputError(
            f'{target}: not saved, because {broken[0]} and {len(broken) - 1} more hold numbers that are infinite or '
            'none. Go on from the last state with --resume, after a look at learning rate and data.'
        )
    score = runner.score[1] if runner.score[0] == meta['iter'] else {}
    classes = meta['dataset_meta'].get('classes')
    card = describe(model, digest(tensors), runner.cfg.to_dict(), classes, score, meta['epoch'], meta['iter'])
    write_state(target, tensors, card, checkpoint if resume else None)


def of_state(runner, filename: str) -> dict:
    """Return what a state holds, frozen weights filled in from the runner's model; all of it where it resumes.

    Raises:
        InputError: damaged, of another model or of other classes, or of a run that cannot go on under this config.
    """
    state, model = read_state(filename), unwrapped(runner.model)
    config = plain(runner.cfg.get('model') or {})
    while isinstance(config.get('module'), dict):  # wrapped for test-time augmentation
        config = config['module']
    lines = other_settings(state, config)
    # a test of an untrained head is never meant
    new_head = bool(runner.cfg.get('new_head')) and isinstance(runner._train_loop, BaseLoop)
    if new_head and runner._resume:
        raise InputError('new_head=True: a run goes on with its own head. Set load_from=STATE without --resume.')
    checkpoint = read_resume(state) if runner._resume else None
    full = full_state_dict(
        model, state, None if getattr(model, 'open_vocabulary', False) else _classes(runner), new_head
    )
    if lines:
        runner.logger.warning(
            '\n    '.join([f'{state.path}: the config wins over the card where they differ:', *lines])
        )
    if checkpoint is None:
        return dict(meta=dict(epoch=state.card.epoch, iter=state.card.iter), state_dict=full)
    if other := compare(state, checkpoint, runner):
        runner.logger.warning(
            '\n    '.join([f'{state.path.parent}: its run and the config differ:', *other, START_ANEW])
        )
    if 'ema_state_dict' in checkpoint:
        averages = checkpoint['ema_state_dict']
        whole, own = (
            {f'module.{name}': value for name, value in some.items()}
            for some in (model.state_dict(), adapter_tensors(model))
        )
        named = {name: value for name, value in averages.items() if name.startswith('module.')}
        if wrong := tensor_differences(named, whole, own):
            raise InputError(
                f'{state.path.parent}: ema_state_dict holds other tensors than the model, {wrong}. {REMEDY}'
            )
        checkpoint['ema_state_dict'] = {**whole, **averages}
    return dict(checkpoint, state_dict=full)


def _classes(runner):
    """Class names of the data at hand; all loops' data are compared with the head by ClassCountHook."""
    for loop in (runner._test_loop, runner._train_loop, runner._val_loop):
        if isinstance(loop, BaseLoop):
            return getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes')
    return None


def _packs(value) -> bool:
    try:
        pack(value)
    except TypeError:
        return False
    return True


def _schedules(schedulers):
    if isinstance(schedulers, dict):
        return {name: _schedules(some) for name, some in schedulers.items()}
    # OneCycleLR keeps its function of annealing among its numbers; a new one has its own.
    return [
        {key: value for key, value in scheduler.state_dict().items() if not callable(value)}
        for scheduler in schedulers
    ]
