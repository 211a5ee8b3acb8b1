"""A disk that is full, becomes read-only, or whose folder goes, at a random step.

The run's folder lies in a file system in memory of its own (mount -t tmpfs, which needs root). It is filled to the
last byte; or mounted over itself read-only, so that what is opened from then on meets EROFS; or the folder is renamed.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from random import Random

from mmengine.hooks import Hook

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import Fork, tool
from mmsparse.analysis.campaigns.small_runs import differing, hooked, outcome, steps, write_configs
from mmsparse.errors import StorageError
from mmsparse.state.files import newest, read_resume, read_state

INTERVAL, SIZE = 2, '8m'
KINDS = ('full', 'read-only', 'vanished')


class Break(Hook):
    """Breaks the disk before a step."""

    def __init__(self, kind: str, disk: Path, iteration: int):
        self.kind, self.disk, self.iteration = kind, disk, iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Break it."""
        if runner.iter != self.iteration:
            return
        if self.kind == 'full':
            with suppress(OSError), (self.disk / 'rest').open('wb', buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        elif self.kind == 'read-only':
            _mount('--bind', self.disk, self.disk)
            _mount('-o', 'remount,bind,ro', self.disk)
        else:
            (self.disk / 'run').rename(self.disk / 'elsewhere')


def prepare(folder: Path, trials: int) -> Trial:
    """Write the data and train the undisturbed run."""
    config, _ = write_configs(folder)

    def start(work_dir: Path, log: str, *hooks: Hook) -> Fork:
        return tool('train.py', config, '--work-dir', work_dir, '--resume', log=folder / log, before=hooked(*hooks))

    start(folder / 'whole', 'whole').fine()
    whole = outcome(folder / 'whole')

    def trial(number: int, draw: Random) -> str:
        kind, at = KINDS[number % len(KINDS)], draw.randrange(INTERVAL, steps() - 1)
        disk, log = folder / f'disk_{number}', f'broken_{number}'
        disk.mkdir()
        _mount('-t', 'tmpfs', '-o', f'size={SIZE}', 'tmpfs', disk)
        try:
            fork, where = start(disk / 'run', log, Break(kind, disk, at)).wait(), f'{kind} at step {at}'
            must(fork.status == StorageError.status, f'{where}: ended with {fork.status}: {fork.err[-800:]}')
            said = [line for line in fork.err.splitlines() if 'error' in line.lower()]
            must('Traceback' not in fork.err and len(said) == 1, f'{where}: {fork.err[-800:]}')
            _mend(kind, disk)
            state = read_state(newest(disk / 'run', warn=lambda text: must(False, text)))
            state.verify()
            read_resume(state)
            must(at - state.card.iter <= INTERVAL, f'{where}: the last state has {state.card.iter}')
            start(disk / 'run', f'{log}_again').fine()
            differs = differing(outcome(disk / 'run'), whole)
            must(not differs, f'{where}: {differs}')
        finally:
            _unmount(disk)
        return kind

    return trial


def _mend(kind: str, disk: Path) -> None:
    if kind == 'full':
        (disk / 'rest').unlink()
    elif kind == 'read-only':
        _unmount(disk)
    else:
        if (disk / 'run').exists():
            (disk / 'run').rename(disk / 'left')
        (disk / 'elsewhere').rename(disk / 'run')


def _mount(*options) -> None:
    done = subprocess.run(['mount', *map(str, options)], capture_output=True, text=True)
    must(done.returncode == 0, f'no disk to break, as it needs root: {done.stderr}')


def _unmount(disk: Path) -> None:
    if os.path.ismount(disk):
        subprocess.run(['umount', '--lazy', str(disk)], check=True)


CAMPAIGN = Campaign(
    'disks',
    f'full, read-only or vanished at a random step: one sentence, exit {StorageError.status}, last state whole, '
    'the same end when it is mended',
    10 * len(KINDS),
    prepare,
)
