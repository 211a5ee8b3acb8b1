"""A run goes on with the recipe that it began with: what a state must share with the config, and what only one of them can decide."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapperDict
from pydantic import NonNegativeInt
from torch import Tensor
from typing_extensions import TypedDict

from mmsparse.errors import InputError
from mmsparse.state.agreement import ABSENT, differences, short
from mmsparse.state.card import plain
from mmsparse.state.files import State
from mmsparse.state.schema import validated

START_ANEW = 'Set it as it was, or start a new run from these weights: load_from=STATE instead of --resume.'
PARTS = ('optim_wrapper', 'train_cfg', 'train_dataloader', 'custom_hooks')
FIXED = ('optim_wrapper.optimizer.type', 'optim_wrapper.constructor', 'optim_wrapper.accumulative_counts')
POSITION = {'last_step', 'optimizer', 'end', 'verbose'}  # of a schedule's arguments; an `end` that changes its values changes others too
NUMBERS = ('last_step', '_global_step', '_last_value', 'base_values', 'best', 'num_bad_epochs', 'cooldown_counter')
REMEDY = 'Resume from another state.'


class _Position(TypedDict):
    epoch: NonNegativeInt
    iter: NonNegativeInt


class _Needed(TypedDict):  # other entries are the hooks'
    meta: _Position
    message_hub: dict
    random: dict
    optimizer: dict


class _Group(TypedDict):
    params: list[int]


class _OptimizerState(TypedDict):
    param_groups: list[_Group]
    state: dict[int, dict[str, Any]]


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
    validated(_Needed, checkpoint, f'{path}: what resume needs is not whole', REMEDY)
    _refuse_no_place(path, checkpoint['meta'], runner)
    lines = []
    for part in PARTS:
        for place, theirs, ours in differences(plain(state.card.config.get(part) or {}), plain(runner.cfg.get(part) or {}), part):
            if place in FIXED and {str(theirs), str(ours)} != {ABSENT, '1'}:  # batches are not accumulated by default
                raise InputError(f"{path}: {place} was {theirs}, received {ours}; optimisers cannot take each other's state. {START_ANEW}")
            wins = 'the state' if place.startswith('optim_wrapper.optimizer') else 'the config'
            lines.append(f'{place}: {theirs} in the state, {ours} in the config; {wins} wins')
    for saved, schedules in _by_optimizer(path, 'param_scheduler', checkpoint.get('param_schedulers') or [], runner.param_schedulers or []):
        _refuse_other_schedules(path, saved, schedules)
    for saved, wrapper in _by_optimizer(path, 'optim_wrapper', checkpoint['optimizer'], runner.optim_wrapper):
        _refuse_other_groups(path, saved, wrapper.optimizer)
    return lines


def load_optimizer(saved: Mapping, wrapper) -> None:
    """Load the state of an optimiser, with or without that of a loss scaler: another precision has another one, or none."""
    if isinstance(wrapper, OptimWrapperDict):
        for name, one in wrapper.items():
            load_optimizer(saved[name], one)
        return
    own = wrapper.state_dict()
    wrapper.load_state_dict({key: value for key, value in {**own, **saved}.items() if key in own})


def load_schedules(saved: Any, schedules: Any) -> None:
    """Load positions and values of schedules; what they are made of is the config's, which `compare` has found to be the same."""
    if isinstance(schedules, dict):
        for name, some in schedules.items():
            load_schedules(saved[name], some)
        return
    for numbers, schedule in zip(saved or [], schedules or [], strict=True):
        vars(schedule).update({key: numbers[key] for key in NUMBERS if key in numbers and key in vars(schedule)})


def _refuse_no_place(path, meta: _Position, runner) -> None:
    by_epoch, epoch, iteration = runner.max_epochs > 1, meta['epoch'], meta['iter']
    if iteration > runner.max_iters or (by_epoch and epoch > runner.max_epochs):
        raise InputError(
            f'{path}: has finished epoch {epoch}, iteration {iteration}, but the config ends at epoch {runner.max_epochs}, '
            f'iteration {runner.max_iters}. {START_ANEW}'
        )


def _by_optimizer(path, what: str, saved: Any, ours: Any) -> list[tuple[Any, Any]]:
    """Return the state's part and the run's for each optimiser."""
    several = isinstance(ours, dict | OptimWrapperDict)
    names = list(ours.keys()) if several else []
    if several and not (isinstance(saved, Mapping) and list(saved) == names):
        raise InputError(f'{path}: {what} has other names than {", ".join(names)}. {START_ANEW}')
    return [(saved[name], ours[name]) for name in names] if several else [(saved, ours)]


def _refuse_other_groups(path, saved: Any, optimizer) -> None:
    ours = [len(group['params']) for group in optimizer.param_groups]
    validated(_OptimizerState, saved, f'{path}: damaged, the state of its optimiser cannot be read', REMEDY)
    theirs = [len(group['params']) for group in saved['param_groups']]
    numbers = dict(enumerate(parameter.shape for group in optimizer.param_groups for parameter in group['params']))
    moments = [(at, value) for at, entry in saved['state'].items() for value in entry.values() if isinstance(value, Tensor)]
    fits = ours != theirs or all(value.shape in ((), numbers.get(at)) for at, value in moments)
    if ours != theirs or not fits:
        raise InputError(
            f'{path}: its optimiser has {len(theirs)} groups of {_few(theirs)} parameters, the config makes {len(ours)} of {_few(ours)} '
            f'({type(optimizer).__name__}){"" if fits else ", of other shapes"}. {START_ANEW}'
        )


def _refuse_other_schedules(path, saved: Any, schedules: list) -> None:
    if len(saved) != len(schedules):
        raise InputError(f'{path}: its run has {len(saved)} schedules, param_scheduler makes {len(schedules)}. {START_ANEW}')
    for at, (numbers, schedule) in enumerate(zip(saved, schedules)):
        for key in _made_of(schedule):
            theirs, ours = numbers.get(key, ABSENT), getattr(schedule, key)
            if theirs != ours:
                raise InputError(
                    f'{path}: param_scheduler[{at}] ({type(schedule).__name__}) has {key}={short(theirs)} in its run and {short(ours)} by the '
                    f'config, which another kind, train_cfg or batch size makes. {START_ANEW}'
                )


def _made_of(schedule) -> list[str]:
    """Return the attributes that say what a schedule is, as opposed to where it stands: its arguments, and how many steps they make."""
    names = {name for base in type(schedule).__mro__ if '__init__' in vars(base) for name in inspect.signature(base.__init__).parameters}
    return sorted(name for name in (names | {'total_iters'}) - POSITION if name in vars(schedule))


def _few(counts: list[int]) -> str:
    return ', '.join(map(str, counts[:4])) + (' ...' if len(counts) > 4 else '')
