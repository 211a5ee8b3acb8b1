"""A process of a job of two dies: torchrun ends the other and names it, or starts the job again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from mmengine.hooks import Hook

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import LIMIT, processes
from mmsparse.analysis.campaigns.small_runs import differing, logged, outcome, steps, write_configs
from mmsparse.registry import HOOKS
from mmsparse.utils.packaged import home

MOST = 60  # seconds from a death to the end of the job
CONFIG = """
_base_ = ['plain.py']
custom_imports = dict(imports=['mmsparse.analysis.campaigns.ranks'])
custom_hooks = [dict(type='mmsparse.Die', iteration={iteration}, rank={rank}, note='{note}')]
"""


@HOOKS.register_module()
class Die(Hook):
    """Kills one process of torchrun's first start before a step; a note tells when."""

    def __init__(self, iteration: int, rank: int, note: str):
        self.iteration, self.rank, self.note = iteration, rank, Path(note)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Die."""
        if (runner.iter, runner.rank) == (self.iteration, self.rank) and not self.note.exists():
            self.note.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def prepare(folder: Path, trials: int) -> Trial:
    """Write the data and train the undisturbed run."""
    config, _ = write_configs(folder)
    for fork in processes(2, 'train.py', config, '--work-dir', folder / 'whole', log=folder / 'whole'):
        fork.fine()
    whole = outcome(folder / 'whole')

    def trial(number: int, draw: Random) -> str:
        again, rank, at = number % 2, draw.randrange(2), draw.randrange(1, steps(2))
        name, note = f'job_{number}', folder / f'died_{number}'
        dying, log = folder / f'{name}.py', folder / f'{name}.err'
        dying.write_text(CONFIG.format(iteration=at, rank=rank, note=note))
        torchrun = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', 2, '--max-restarts', again]
        command = [*torchrun, home() / 'tools/train.py', dying, '--launcher', 'pytorch', '--work-dir', folder / name]
        with log.open('w') as err:
            job = subprocess.Popen(
                [sys.executable, *map(str, command)], stdout=err, stderr=err, start_new_session=True
            )
            try:
                status = job.wait(LIMIT)
            finally:
                took = time.time() - note.stat().st_mtime if note.exists() else LIMIT
                if job.poll() is None:
                    os.killpg(job.pid, signal.SIGKILL)
        where, said = f'process {rank} killed before step {at}', log.read_text()
        must(f'failed (exitcode: -9) local_rank: {rank} (pid' in said, f'{where}: not named: {said[-800:]}')
        if not again:
            must(status != 0 and took < MOST, f'{where}: ended with {status} after {took:.0f} s')
            return 'ended'
        must(status == 0, f'{where}: started again, ended with {status}: {said[-1500:]}')
        must(at < 2 or 'resumed epoch' in logged(folder / name), f'{where}: began anew')
        differs = differing(outcome(folder / name), whole)
        must(not differs, f'{where}: {differs}')
        return 'started again'

    return trial


CAMPAIGN = Campaign(
    'ranks',
    f'one of two processes killed at a random step: the job ends within {MOST} s and names it; started again by '
    'torchrun, the same end',
    20,
    prepare,
)
