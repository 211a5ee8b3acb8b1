"""Whether an optimiser and schedules can take what a state holds for them, by the example of what they hold."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from numbers import Number
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import TypedDict

from mmsparse.state.agreement import ABSENT, short
from mmsparse.state.resume_form import REMEDY
from mmsparse.state.schema import validated
from mmsparse.utils.value_checks import is_finite

KERNELS = ('foreach', 'fused', 'capturable')  # how an optimiser computes; some ways need a GPU


class _Group(TypedDict):
    params: list[int]


class _OptimizerState(TypedDict):
    param_groups: list[_Group]
    state: dict[int, dict[str, Any]]


def optimizer_faults(saved: Any, wrapper, path, iteration: int) -> Iterator[str]:
    """Say what of an optimiser's saved state this one cannot take.

    Args:
        saved: as `state_dict` gives it.
        wrapper: of the optimiser at hand.
        path: the state, named in errors.
        iteration: after how many it was saved.

    Raises:
        InputError: not what `state_dict` gives.
    """
    optimizer = wrapper.optimizer
    validated(_OptimizerState, saved, f'{path}: damaged, the state of its optimiser cannot be read', REMEDY)
    groups = saved['param_groups']
    theirs, ours = ([len(group['params']) for group in some] for some in (groups, optimizer.param_groups))
    parameters = dict(enumerate(parameter for group in optimizer.param_groups for parameter in group['params']))
    shapes = {at: parameter.shape for at, parameter in parameters.items()}
    moments = [
        (at, value) for at, entry in saved['state'].items() for value in entry.values() if isinstance(value, Tensor)
    ]
    fits = ours != theirs or all(value.shape in ((), shapes.get(at)) for at, value in moments)
    if ours != theirs or not fits:
        yield (
            f'its optimiser has {len(theirs)} groups of {_few(theirs)} parameters, the config makes {len(ours)} of '
            f'{_few(ours)} ({type(optimizer).__name__}){"" if fits else ", of other shapes"}'
        )
        return
    yield from _group_faults(groups, optimizer)
    yield from _moment_faults(saved['state'], groups, optimizer, parameters, iteration)
    steps = iteration // wrapper._accumulative_counts
    trains = any(parameter.requires_grad for parameter in parameters.values())
    # a scaler of losses may have left out every step so far
    expected = steps and trains and not hasattr(wrapper, 'loss_scaler')
    if not saved['state'] and expected and any(_after_a_step(optimizer, group, 1) for group in groups):
        yield f'optimizer.state: received none after {steps} steps, expected what {type(optimizer).__name__} keeps'


def unlike(value: Any, example: Any) -> str:
    """Say what a value lacks to stand where the example does: a finite number, not below zero where the example is
    not; as many of them; True, False or None. Examples of other kinds ask for nothing.
    """
    if example is None or isinstance(example, bool):
        fits, expected = value is None or value is ABSENT or isinstance(value, bool), 'True, False or None'
    elif _is_number(example):
        lowest = min(example, 0) if example == example else -math.inf
        fits = _is_number(value) and (is_finite(value) or not is_finite(example)) and value >= lowest
        expected = f'a finite number, at least {lowest:g}'
    elif isinstance(example, list | tuple) and all(map(_is_number, example)):
        fits = isinstance(value, list | tuple) and len(value) == len(example)
        fits = fits and not any(map(unlike, value, example))
        expected = f'{len(example)} finite numbers, such as {short(example)}'
    else:
        return ''
    return '' if fits else f'received {short(value)!r}, expected {expected}'


def _group_faults(groups: list[Mapping], optimizer: Optimizer) -> Iterator[str]:
    for at, (theirs, ours) in enumerate(zip(groups, optimizer.state_dict()['param_groups'])):
        for key, own in ours.items():
            if key == 'params' and theirs[key] != own:
                yield f'optimizer.param_groups.{at}.params: received {short(theirs[key])}, expected {short(own)}'
            elif key != 'params' and (words := unlike(theirs.get(key, ABSENT), own)):
                yield f'optimizer.param_groups.{at}.{key}: {words}'
        if _after_a_step(optimizer, ours, 1) is not None:
            try:
                _after_a_step(optimizer, theirs, 1, strict=True)
            except Exception as error:
                yield f'optimizer.param_groups.{at}: {type(optimizer).__name__} does not take them ({error})'


def _moment_faults(
    state: Mapping, groups: list, optimizer: Optimizer, parameters: Mapping[int, Tensor], iteration: int
) -> Iterator[str]:
    of = {at: group for group in groups for at in group['params']}
    made: dict = {}
    for at, entry in state.items():
        if at not in parameters:
            yield f'optimizer.state.{at}: received numbers of a parameter that there is not, of {len(parameters)}'
            continue
        kind = id(of[at]), parameters[at].ndim
        if kind not in made:
            made[kind] = _after_a_step(optimizer, of[at], kind[1])
        for key, own in (made[kind] or {}).items():
            value, place = entry.get(key, ABSENT), f'optimizer.state.{at}.{key}'
            if isinstance(own, Tensor) and own.ndim:
                fits = isinstance(value, Tensor) and bool(value.isfinite().all())
                expected = f'a tensor {tuple(parameters[at].shape)} of finite numbers'
            elif key == 'step':
                fits = _is_number(value) and 0 <= value <= iteration
                expected = f'a number of steps, 0 to {iteration}'
            else:
                continue
            if not fits:
                yield f'{place}: received {short(value)!r}, expected {expected}'


def _after_a_step(optimizer: Optimizer, group: Mapping, ndim: int, strict: bool = False) -> dict | None:
    """Return what an optimiser of this kind keeps of a parameter after a step, or None where that cannot be tried.

    Args:
        optimizer: gives the kind, and is not changed.
        group: its arguments.
        ndim: number of the parameter's axes.
        strict: whether what the optimiser raises is let through.
    """
    takes = inspect.signature(type(optimizer)).parameters
    with suppress(*() if strict else (Exception,)):
        parameter = nn.Parameter(torch.zeros((1,) * ndim))
        parameter.grad = torch.zeros_like(parameter)
        one = type(optimizer)(
            [parameter],
            **{key: value for key, value in group.items() if key in takes and key not in (*KERNELS, 'params')},
        )
        one.step()
        return dict(one.state[parameter])
    return None


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):  # a learning rate, or a count of steps
        return value.ndim == 0
    return isinstance(value, Number) and not isinstance(value, bool | complex)


def _few(counts: list[int]) -> str:
    return ', '.join(map(str, counts[:4])) + (' ...' if len(counts) > 4 else '')
