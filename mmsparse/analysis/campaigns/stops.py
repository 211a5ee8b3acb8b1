"""A run that ends at a random step, without a word to anybody, and goes on with --resume."""

from __future__ import annotations

import os
from functools import cache
from itertools import product
from pathlib import Path
from random import Random

from mmengine.hooks import Hook

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import ends, processes
from mmsparse.analysis.campaigns.small_runs import differing, hooked, outcome, steps, write_configs

SETTINGS = list(product((0, 2), (1, 2), ('plain', 'everything random')))  # workers, processes, what is drawn
GONE = 9


class Leave(Hook):
    """Ends the process behind a step, as if it had never been; a state of this step is whole by then."""

    priority = 'LOWEST'

    def __init__(self, iteration: int):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Leave."""
        if runner.iter + 1 == self.iteration:
            os._exit(GONE)


def prepare(folder: Path, trials: int) -> Trial:
    """Write the data; the undisturbed run of a setting is made when it is first asked for."""
    configs = dict(zip(('plain', 'everything random'), write_configs(folder)))

    def start(name: str, setting: tuple, *hooks: Hook, resume: bool = False) -> list[int]:
        workers, number, drawn = setting
        options = ['--work-dir', folder / name, *['--resume'] * resume, '--cfg-options']
        options += ['default_hooks.checkpoint.interval=1']
        if workers:
            persistent = 'train_dataloader.persistent_workers=True'
            options += [f'train_dataloader.num_workers={workers}', persistent]
        return ends(processes(number, 'train.py', configs[drawn], *options, log=folder / name, before=hooked(*hooks)))

    @cache
    def expected(setting: tuple) -> dict:
        name = 'whole_' + '_'.join(map(str, setting)).replace(' ', '_')
        must(set(start(name, setting)) == {0}, f'the undisturbed run failed: {_errors(folder, name)}')
        return outcome(folder / name)

    def trial(number: int, draw: Random) -> str:
        setting = SETTINGS[number % len(SETTINGS)]
        whole, name = expected(setting), f'stopped_{number}'
        at = draw.randrange(1, steps(setting[1]))
        must(set(start(name, setting, Leave(at))) == {GONE}, f'not stopped at {at}: {_errors(folder, name)}')
        status = start(name, setting, resume=True)
        where = f'{setting[0]} workers, {setting[1]} processes, {setting[2]}, stopped behind step {at}'
        must(set(status) == {0}, f'{where}: resume ended with {status}: {_errors(folder, name)}')
        differs = differing(outcome(folder / name), whole)
        must(not differs, f'{where}: {differs}')
        return ''

    return trial


def _errors(folder: Path, name: str) -> str:
    return ' '.join(file.read_text()[-600:] for file in sorted(folder.glob(f'{name}*.err')))


CAMPAIGN = Campaign(
    'stops',
    'stopped at a random step and resumed, workers 0 and 2, 1 and 2 processes, plain and everything random: '
    'bit-identical weights, optimiser, averages, metrics',
    30 * len(SETTINGS),
    prepare,
)
