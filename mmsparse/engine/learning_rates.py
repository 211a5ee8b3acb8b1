"""Which learning rates a run will reach, found by running its schedules ahead on a stand-in for the optimiser."""

from __future__ import annotations

from array import array
from copy import copy
from types import SimpleNamespace

import numpy as np
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop

SLACK = 1e-6  # MMEngine's schedules multiply step by step, and rounding adds up
# what of a schedule says how long it lasts, and the steps it leaves out
SPANS = {'T_max': 0, 'total_steps': 0, 'total_iters': 1}


def ahead(runner) -> np.ndarray:
    """Return the rate of every iteration that is still to come, for the group of parameters with the highest rate."""
    wrapper, schedules = runner.optim_wrapper, runner.param_schedulers or []
    if isinstance(wrapper, OptimWrapperDict):
        name, wrapper = next(iter(wrapper.items()))
        schedules = schedules[name] if schedules else []
    groups = wrapper.param_groups
    place = max(range(len(groups)), key=lambda at: groups[at].get('initial_lr', groups[at]['lr']))
    group = {key: value for key, value in groups[place].items() if key != 'params'}
    optimizer = SimpleNamespace(param_groups=[group], step=SimpleNamespace(_with_counter=True), _global_step=0)
    moving = []
    for schedule in schedules:
        if schedule.param_name == 'lr' and not getattr(schedule, 'need_val_args', False):
            moving.append(copy(schedule))
            vars(moving[-1]).update(
                optimizer=optimizer, base_values=schedule.base_values[place : place + 1], verbose=False
            )
    steps = [schedule.step for schedule in moving if not schedule.by_epoch]
    epoch_steps = [schedule.step for schedule in moving if schedule.by_epoch]
    length = runner.max_iters if isinstance(runner.train_loop, IterBasedTrainLoop) else len(runner.train_dataloader)
    rates = array('d')
    for iteration in range(runner.iter + 1, runner.max_iters + 1):
        rates.append(group['lr'])
        for step in steps:
            step()
        if iteration % length == 0:
            for step in epoch_steps:
                step()
    return np.frombuffer(rates)


def rates(runner) -> str:
    """Return the highest and the last rate that a run will reach, and what is odd about the way there."""
    found = ahead(runner)
    if not len(found):
        return 'no iteration left'
    wrapper = runner.optim_wrapper
    wrapper = next(iter(wrapper.values())) if isinstance(wrapper, OptimWrapperDict) else wrapper
    configured = max(group.get('initial_lr', group['lr']) for group in wrapper.param_groups)
    odd = oddities(found, configured, runner)
    return f'highest {found.max():.2e}, last {found[-1]:.2e}' + (f', BUT {", ".join(odd)}' if odd else '')


def oddities(found: np.ndarray, configured: float, runner) -> list[str]:
    """Return what somebody who set the schedule for another length would want to know.

    Args:
        found: rate of every iteration still to come.
        configured: rate of the config, which schedules multiply.
        runner: says how long run and schedules are.
    """
    first, end = runner.iter, runner.max_iters
    schedules = runner.param_schedulers or []
    schedules = [one for some in schedules.values() for one in some] if isinstance(schedules, dict) else schedules
    if any(getattr(schedule, 'need_val_args', False) for schedule in schedules):
        return ['lower where validation says so']
    lines, peak = [], found.max()
    change = np.diff(found)
    falls, rises = (np.flatnonzero(sign * change > SLACK * peak) for sign in (-1, 1))
    if len(rises) and not len(falls) and peak < (1 - SLACK) * configured:
        lines.append('the run ends before the warm-up does')
    elif first == 0 and peak < 0.5 * configured:
        lines.append(f'the configured {configured:.2e} is never reached')
    if len(falls) and len(rises) and (again := rises[rises > falls[0]]).size:
        lines.append(f'it rises again from iteration {first + int(again[0]) + 1}')
    moved = np.flatnonzero(change)
    if len(moved) and falls.size and found[-1] < 0.01 * peak and (stays := first + int(moved[-1]) + 2) <= 0.9 * end:
        lines.append(f'it stays there from iteration {stays} of {end} on')
    scale = [
        (schedule, 1 if not schedule.by_epoch else max(len(runner.train_dataloader), 1)) for schedule in schedules
    ]
    reach = max(
        (times * (schedule.begin + _span(schedule)) for schedule, times in scale if schedule.param_name == 'lr'),
        default=0,
    )
    if reach > end:
        lines.append(f'the schedule is made for {reach} iterations, the run has {end}')
    return lines


def _span(schedule) -> int:
    """Return how many of its own steps a schedule is made for; 0 where it is for any number."""
    return next(
        (
            getattr(schedule, key) + more
            for key, more in SPANS.items()
            if isinstance(getattr(schedule, key, None), int)
        ),
        0,
    )
