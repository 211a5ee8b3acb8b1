"""SIGTERM at random instants of training, validations included."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from random import Random

from mmengine.hooks import Hook

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import Fork, tool
from mmsparse.analysis.campaigns.small_runs import Position, differing, hooked, outcome, steps, write_configs
from mmsparse.errors import Interrupted
from mmsparse.state.files import read_state
from mmsparse.state.folder import INTERRUPTED

TRIES = 5


class SlowValidation(Hook):
    """Lets validations last, so that a signal falls into them."""

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Wait."""
        time.sleep(0.03)


def prepare(folder: Path, trials: int) -> Trial:
    """Write the data and train the undisturbed run, with averages of the weights: validations swap them in."""
    _, config = write_configs(folder)

    def start(name: str, *hooks: Hook) -> Fork:
        options = ('--work-dir', folder / name, '--resume', '--cfg-options', 'default_hooks.checkpoint.interval=100')
        return tool('train.py', config, *options, log=folder / name, before=hooked(*hooks))

    start('whole').fine()
    whole = outcome(folder / 'whole')

    def trial(number: int, draw: Random) -> str:
        for again in range(TRIES):  # who asks behind the last step asks nobody
            position, name = Position(), f'asked_{number}_{again}'
            fork, behind = start(name, position, SlowValidation()), draw.randrange(0, steps())
            while fork.alive() and not (
                position.validating.value and position.iteration.value >= behind
                if number % 3 == 0
                else position.iteration.value >= behind
            ):
                time.sleep(0.0005)
            time.sleep(draw.uniform(0, 0.05))
            validating = bool(position.validating.value)
            fork.send(signal.SIGTERM)
            if fork.wait().status:
                break
        must(fork.status == Interrupted.status, f'behind step {behind}: ended with {fork.status}: {fork.err[-800:]}')
        must('Traceback' not in fork.err and '--resume' in fork.err, fork.err[-800:])
        lost = position.iteration.value - read_state(folder / name / INTERRUPTED).card.iter
        must(lost == 0, f'behind step {behind}: {lost} steps lost')
        start(name).fine()
        differs = differing(outcome(folder / name), whole)
        must(not differs, f'asked behind step {behind}{", validating" * validating}: {differs}')
        return 'in validations' if validating else 'in steps'

    return trial


CAMPAIGN = Campaign(
    'asks', f'SIGTERM at a random instant: exit {Interrupted.status}, no step lost, the same end', 20, prepare
)
