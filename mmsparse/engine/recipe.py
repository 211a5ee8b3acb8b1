"""What a state must share with the config of the run that resumes from it, and which of the two decides the rest."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from mmengine.optim import OptimWrapperDict

from mmsparse.engine.optimizer_form import optimizer_faults, unlike
from mmsparse.errors import refuse
from mmsparse.state.agreement import ABSENT, differences, short
from mmsparse.state.card import plain
from mmsparse.state.files import State

START_ANEW = 'Set it as it was, or start a new run from these weights: load_from=STATE instead of --resume.'
PARTS = ('optim_wrapper', 'train_cfg', 'train_dataloader', 'custom_hooks')
FIXED = ('optim_wrapper.optimizer.type', 'optim_wrapper.constructor', 'optim_wrapper.accumulative_counts')
# of a schedule's arguments; an `end` that changes its values changes others too
POSITION = {'last_step', 'optimizer', 'end', 'verbose'}
STEPS = ('last_step', '_global_step')
NUMBERS = (*STEPS, '_last_value', 'base_values', 'best', 'num_bad_epochs', 'cooldown_counter')


def compare(state: State, checkpoint: Mapping, runner) -> list[str]:
    """Return what a resumed run does otherwise than the config or than the state; for people to read.

    Args:
        state: adapter and card.
        checkpoint: what resume needs.
        runner: its optimiser and schedules are built, its model and position are not changed yet.

    Raises:
        InputError: the state cannot go on under this config; the text says where they differ, or what the state lacks.
    """
    path = state.path.parent
    other = [
        (place, theirs, ours)
        for part in PARTS
        for place, theirs, ours in differences(
            plain(state.card.config.get(part) or {}), plain(runner.cfg.get(part) or {}), part
        )
    ]
    refuse(f'{path}: {fault}. {START_ANEW}' for fault in _faults(path, other, checkpoint, runner))
    winner = {
        place: 'the state' if place.startswith('optim_wrapper.optimizer') else 'the config' for place, _, _ in other
    }
    return [
        f'{place}: {theirs} in the state, {ours} in the config; {winner[place]} wins' for place, theirs, ours in other
    ]


def load_optimizer(saved: Mapping, wrapper) -> None:
    """Load the state of an optimiser; that of a loss scaler only where this precision has one."""
    if isinstance(wrapper, OptimWrapperDict):
        for name, one in wrapper.items():
            load_optimizer(saved[name], one)
        return
    own = wrapper.state_dict()
    # how steps are captured is the machine's: torch refuses on a CPU what a GPU's state says
    groups = [
        {**group, **{key: mine[key] for key in mine.keys() & {'capturable'}}}
        for group, mine in zip(saved['param_groups'], own['param_groups'])
    ]
    saved = {**saved, 'param_groups': groups}
    wrapper.load_state_dict({key: value for key, value in {**own, **saved}.items() if key in own})


def load_schedules(saved: Any, schedules: Any) -> None:
    """Load positions and values of schedules; their arguments are the config's, which `compare` has found equal."""
    if isinstance(schedules, dict):
        for name, some in schedules.items():
            load_schedules(saved[name], some)
        return
    for numbers, schedule in zip(saved or [], schedules or [], strict=True):
        vars(schedule).update({key: numbers[key] for key in NUMBERS if key in numbers and key in vars(schedule)})


def _faults(path, other: list[tuple], checkpoint: Mapping, runner) -> Iterator[str]:
    """Say why a state cannot go on under a config."""
    by_epoch, epoch, iteration = runner.max_epochs > 1, checkpoint['meta']['epoch'], checkpoint['meta']['iter']
    if iteration > runner.max_iters or (by_epoch and epoch > runner.max_epochs):
        yield (
            f'has finished epoch {epoch}, iteration {iteration}, but the config ends at epoch {runner.max_epochs}, '
            f'iteration {runner.max_iters}'
        )
    for place, theirs, ours in other:
        if place in FIXED and {str(theirs), str(ours)} != {ABSENT, '1'}:  # batches are not accumulated by default
            yield f"{place} was {theirs}, received {ours}; optimisers cannot take each other's state"
    schedules = checkpoint.get('param_schedulers') or [], runner.param_schedulers or []
    for what, saved, ours, faults in (
        ('param_scheduler', *schedules, _schedule_faults),
        (
            'optim_wrapper',
            checkpoint['optimizer'],
            runner.optim_wrapper,
            partial(optimizer_faults, path=path, iteration=iteration),
        ),
        ('param_scheduler', *schedules, partial(_number_faults, iteration=iteration)),
    ):
        if not isinstance(ours, dict | OptimWrapperDict):
            yield from faults(saved, ours)
        elif not isinstance(saved, Mapping) or list(saved) != list(ours.keys()):
            yield f'{what} has other names than {", ".join(ours.keys())}'
        else:  # one for each optimiser
            for name in saved:
                yield from faults(saved[name], ours[name])


def _schedule_faults(saved: Any, schedules: list) -> Iterator[str]:
    if not (isinstance(saved, list) and all(isinstance(numbers, Mapping) for numbers in saved)):
        yield f'param_schedulers: received {short(saved)!r}, expected a list with the numbers of each schedule'
        return
    if len(saved) != len(schedules):
        yield f'its run has {len(saved)} schedules, param_scheduler makes {len(schedules)}'
    for at, (numbers, schedule) in enumerate(zip(saved, schedules)):
        for key in _made_of(schedule):
            theirs, ours = numbers.get(key, ABSENT), getattr(schedule, key)
            if theirs != ours:
                yield (
                    f'param_scheduler[{at}] ({type(schedule).__name__}) has {key}={short(theirs)} in its run and '
                    f'{short(ours)} by the config, which another kind, train_cfg or batch size makes'
                )


def _number_faults(saved: list, schedules: list, iteration: int) -> Iterator[str]:
    """Say which positions and values of schedules, of the right kinds, are none."""
    for at, (numbers, schedule) in enumerate(zip(saved, schedules)):
        for key in NUMBERS:
            if key in vars(schedule) and (words := unlike(numbers.get(key, ABSENT), getattr(schedule, key))):
                yield f'param_schedulers.{at}.{key}: {words}'
        for key in STEPS:
            value, most = numbers.get(key), iteration + 1  # the first is made when a schedule is built
            if key in vars(schedule) and not (isinstance(value, int) and value <= most):
                yield f'param_schedulers.{at}.{key}: received {short(value)!r}, expected steps, at most {most}'


def _made_of(schedule) -> list[str]:
    """Return the attributes that say what a schedule is, not where it stands: arguments and number of steps."""
    names = {
        name
        for base in type(schedule).__mro__
        if '__init__' in vars(base)
        for name in inspect.signature(base.__init__).parameters
    }
    return sorted(name for name in (names | {'total_iters'}) - POSITION if name in vars(schedule))
