"""Infinite numbers, and numbers that are none, wherever a step takes its numbers from."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import product
from multiprocessing import Value
from pathlib import Path
from random import Random

import torch
from mmengine.hooks import Hook
from torch.nn import Parameter

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import ends, processes
from mmsparse.analysis.campaigns.small_runs import hooked, steps, write_configs
from mmsparse.errors import InputError
from mmsparse.state.files import read_state
from mmsparse.state.folder import states

WHERE = ('input', 'weight', 'gradient', 'loss', 'learning rate')
SETTINGS = {
    'plain': (),
    'clipping': ('optim_wrapper.clip_grad=dict(max_norm=1.0)',),
    'accumulation': ('optim_wrapper.accumulative_counts=5',),
    'two processes': (),
    'last step': (),
}
VALUES = (math.nan, math.inf, -math.inf)


def spoil(where: str, value: float, runner, trains: Sequence[Parameter], data_batch: dict) -> None:
    """Put a number where the next step takes it from.

    Args:
        where: one of `WHERE`.
        value: the number.
        runner: of the run.
        trains: the parameters that train.
        data_batch: of the next step.
    """
    if where == 'gradient':
        trains[0].register_hook(lambda grad: torch.full_like(grad, value))
    elif where == 'learning rate':
        runner.optim_wrapper.param_groups[0]['lr'] = value
    elif where == 'weight':
        trains[0].data.view(-1)[0] = value
    elif where == 'input':
        data_batch['inputs'] = [each.float().fill_(value) for each in data_batch['inputs']]
    else:
        head = next(each for each in runner.model.modules() if hasattr(each, 'loss_module'))
        true = type(head).loss
        head.loss = lambda *args, **kwargs: {key: loss * value for key, loss in true(head, *args, **kwargs).items()}


class Spoil(Hook):
    """Puts a number somewhere in one iteration, of one process, and compares the weights when training has ended.

    Attributes:
        moved: how many weights are not what they were before that iteration, -1 if it was not reached.
    """

    def __init__(self, where: str, value: float, iteration: int, rank: int):
        self.where, self.value, self.iteration, self.rank = where, value, iteration, rank
        self.moved, self.weights = Value('q', -1), []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Note the weights, and spoil one of the numbers."""
        if runner.iter != self.iteration:
            return
        trains = [each for each in runner.model.parameters() if each.requires_grad]
        if runner.rank == self.rank or self.where == 'learning rate':  # every process has the same schedule
            spoil(self.where, self.value, runner, trains, data_batch)
        self.weights = [(each, each.detach().clone()) for each in trains]
        self.moved.value = max(0, self.moved.value)

    def compare(self) -> None:
        """Count the weights that a step has moved."""
        same = [torch.equal(each.nan_to_num(7), before.nan_to_num(7)) for each, before in self.weights]
        self.moved.value += same.count(False)


def prepare(folder: Path, trials: int) -> Trial:
    """Write the data."""
    config, _ = write_configs(folder)
    cells = list(product(WHERE, SETTINGS))

    def trial(number: int, draw: Random) -> str:
        where, setting = cells[number % len(cells)]
        value = VALUES[number // len(cells) % len(VALUES)]
        count, name = 1 + (setting == 'two processes'), f'spoilt_{number}'
        last = steps(count) - 1
        at = last if setting == 'last step' else draw.randrange(1, last)
        spoilt = Spoil(where, value, at, draw.randrange(count))
        before = hooked(spoilt, ended=spoilt.compare)
        options = ['--work-dir', folder / name, '--no-validate', '--cfg-options', 'randomness.seed=1']
        forks = processes(count, 'train.py', config, *options, *SETTINGS[setting], log=folder / name, before=before)
        status = ends(forks)
        told = f'{value} in {where}, {setting}, step {at} of process {spoilt.rank}'
        said = ' '.join(fork.err for fork in forks)
        must(set(status) == {InputError.status}, f'{told}: ended with {status}: {said[-800:]}')
        must('Traceback' not in said and re.search('Training stopped at epoch', said), f'{told}: {said[-800:]}')
        must(spoilt.moved.value == 0, f'{told}: {spoilt.moved.value} weights were moved')
        for state in states(folder / name):
            broken = [key for key, value in read_state(state).tensors.items() if not value.isfinite().all()]
            must(not broken, f'{told}: {state.name} holds {broken}')
        return setting

    return trial


CAMPAIGN = Campaign(
    'numbers',
    'NaN and ±infinity in input, weight, gradient, loss and learning rate, of one process: stopped before the step, '
    'no state that holds one',
    4 * len(WHERE) * len(SETTINGS),
    prepare,
)
