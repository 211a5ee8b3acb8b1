"""Where workers run: as processes here, or as jobs that submitit hands to Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CalledProcessError

from mmsparse.analysis.sweeps.worker import work
from mmsparse.errors import InputError

JOBS = 'jobs'
USUAL = dict(timeout_min=24 * 60)  # submitit's own are minutes; a job that reaches its limit is queued again
REQUEUES = 100


def start_here(count: int, words: Sequence[str]) -> list[int]:
    """Run workers on this machine until all have ended; of several GPUs each has one.

    Args:
        count: of workers.
        words: a command that is a worker.

    Returns:
        their exit statuses.
    """
    devices = _devices() if count > 1 else []
    workers = []
    try:
        for number in range(count):
            env = dict(os.environ)
            if len(devices) > 1:
                env['CUDA_VISIBLE_DEVICES'] = devices[number % len(devices)]
            workers.append(subprocess.Popen(list(words), env=env))
        return [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait()


def _devices() -> list[str]:
    if 'CUDA_VISIBLE_DEVICES' in os.environ:
        return os.environ['CUDA_VISIBLE_DEVICES'].split(',')
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


class Worker:
    """What submitit calls in a job, and again in the job that goes on when its time is over or it is preempted."""

    def __init__(self, sweep: Path, folder: Path):
        self.sweep, self.folder = sweep, folder

    def __call__(self) -> None:
        work(self.sweep, self.folder)

    def checkpoint(self):
        """Return what the next job has to do: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit(cluster: str, count: int, settings: dict, sweep: Path, folder: Path) -> list:
    """Submit workers as jobs.

    Args:
        cluster: 'slurm', or 'local' for jobs of submitit on this machine.
        count: of workers; of Slurm one array of jobs.
        settings: for ``submitit.AutoExecutor.update_parameters``, such as ``slurm_partition``.
        sweep: its file.
        folder: the sweep's; scripts and output of the jobs go there.

    Returns:
        submitit's jobs.

    Raises:
        InputError: submitit or Slurm refuses.
    """
    import submitit

    more = dict(slurm_max_num_timeout=REQUEUES) if cluster == 'slurm' else dict(local_max_num_timeout=REQUEUES)
    try:
        executor = submitit.AutoExecutor(folder=folder / JOBS, cluster=cluster, **more)
        executor.update_parameters(**{**USUAL, 'name': f'sweep_{sweep.stem}', **settings})
        with executor.batch():
            jobs = [executor.submit(Worker(sweep, folder)) for _ in range(count)]
    except (AssertionError, NameError, RuntimeError, TypeError, ValueError, OSError, CalledProcessError) as error:
        raise InputError(
            f'--cluster {cluster}: submitit refuses {settings or "to submit"}: {" ".join(str(error).split())[:400]} '
            'Correct --job, or leave --cluster out to train here.'
        ) from error
    sys.stdout.write(f'Submitted as {", ".join(job.job_id for job in jobs)}; their output: {folder / JOBS}\n')
    return jobs
