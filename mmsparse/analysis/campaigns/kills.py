"""Signal 9 at random instants, inside saves too; only one state is kept, the hardest case."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from random import Random

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import Fork, tool
from mmsparse.analysis.campaigns.small_runs import Position, differing, hooked, logged, outcome, steps, write_configs
from mmsparse.errors import InputError
from mmsparse.state import folder as state_folder
from mmsparse.state.files import newest, read_resume, read_state

INTERVAL = 2
PAUSE = 0.004  # seconds in each flush of a file; a save takes some 50 ms with it, else it is seldom hit


def prepare(folder: Path, trials: int) -> Trial:
    """Write the data and train the undisturbed run."""
    config, _ = write_configs(folder)

    def start(name: str, before=lambda: None) -> Fork:
        return tool('train.py', config, '--work-dir', folder / name, '--resume', log=folder / name, before=before)

    start('whole').fine()
    whole = outcome(folder / 'whole')

    def trial(number: int, draw: Random) -> str:
        position, name, in_save = Position(), f'killed_{number}', bool(number % 2)
        fork = start(name, partial(_slowly, hooked(position)))
        where = _kill(fork, position, folder / name, draw, in_save)
        trained = max(position.iteration.value, 0)
        try:
            found = newest(folder / name, warn=partial(must, False)) if (folder / name).is_dir() else None
        except InputError as error:
            raise AssertionError(f'killed {where} behind step {trained}: {error}') from error
        iteration = 0
        if found:
            state = read_state(found)
            read_resume(state)
            iteration = state.card.iter
        lost = trained - iteration
        must(lost <= INTERVAL, f'killed {where} behind step {trained}: {lost} steps lost')
        resumed = start(name).fine()
        must(not found or f'iter: {iteration}' in logged(folder / name), f'did not go on from {iteration}')
        must('Passed over' not in resumed.err, resumed.err)
        differs = differing(outcome(folder / name), whole)
        must(not differs, f'killed {where} behind step {trained}: {differs}')
        return where

    return trial


def _kill(fork: Fork, position: Position, work_dir: Path, draw: Random, in_save: bool) -> str:
    """Kill a run somewhere behind a random step; return where that was."""
    behind = draw.randrange(0, steps() - 1)
    _wait(fork, lambda: position.iteration.value >= behind)
    if in_save:
        _wait(fork, lambda: _saving(work_dir))
        time.sleep(draw.uniform(0, 6 * PAUSE))
    else:
        time.sleep(draw.uniform(0, 0.1))
    must(fork.alive(), f'ended before it was killed, with {fork.status}: {fork.err[-500:]}')
    fork.kill()
    return 'in a save' if _saving(work_dir) else 'between saves'


def _wait(fork: Fork, reached) -> None:
    while fork.alive() and not reached():
        time.sleep(0.0005)


def _saving(work_dir: Path) -> bool:
    """Whether a state is being written, renamed or removed."""
    names = os.listdir(work_dir) if work_dir.is_dir() else []
    return any(name.endswith(('.writing', '.replaced', '.removed')) for name in names)


def _slowly(install) -> None:
    install()
    flush = state_folder._flush

    def slow(path: Path) -> None:
        time.sleep(PAUSE)
        flush(path)

    state_folder._flush = slow


CAMPAIGN = Campaign(
    'kills',
    'killed at a random instant, every second time near a save: resumed, newest state readable, at most one interval '
    f'({INTERVAL} steps) lost, the same end',
    100,
    prepare,
)
