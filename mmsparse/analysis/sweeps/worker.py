"""A worker: takes trials from the queue, and trains each run by the command that one would type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import mean

from mmsparse.analysis.sweeps.queue import CONSOLE, Queue, Task
from mmsparse.analysis.sweeps.scores import scores
from mmsparse.analysis.sweeps.sweep_file import read_sweep
from mmsparse.errors import InputError
from mmsparse.state.folder import states
from mmsparse.utils.packaged import home

FINISHED = 'result.csv'  # what mmsparse.ResultHook leaves of a training that came to its end


def work(sweep: str | Path, folder: str | Path) -> None:
    """Train until no trial is waiting. A run that fails is written down, and the next one is taken.

    Args:
        sweep: its file.
        folder: the sweep's.

    Raises:
        InputError: the queue cannot be used.
    """
    queue = Queue(read_sweep(sweep), Path(folder))
    while (task := queue.take()) is not None:
        try:
            reached = [_train(queue, task, seed, name) for seed, name in task.point.folders().items()]
        except InputError as error:
            queue.finish(task, None, error=str(error))
            sys.stderr.write(f'{task.point.name}: failed. {error}\n')
        else:
            value = mean(reached)
            queue.finish(task, value)
            counts = queue.count()
            sys.stdout.write(
                f'{task.point.name}: {queue.sweep.metric} {value:.2f}; {counts["COMPLETE"]} of {counts.total()} are '
                'finished.\n'
            )
            sys.stdout.flush()


def command(task: Task, seed: int, folder: Path) -> list[str]:
    """Return the words that train a run, or let it go on from its last state."""
    options = dict(task.options)
    if label := task.label:
        options['experiment_name'] = label  # what results of the run are called, where the config's name is not enough
    words = [sys.executable, str(home() / 'tools' / 'train.py'), task.point.config]
    words += ['--work-dir', str(folder), '--seed', str(seed)]
    words += ['--resume'] if states(folder) else []  # a config's load_from counts at the first start
    return words + (['--cfg-options', *(f'{path}={text}' for path, text in options.items())] if options else [])


def _train(queue: Queue, task: Task, seed: int, name: str) -> float:
    """Train a run; return its score after the last epoch."""
    folder, metric = queue.folder / name, queue.sweep.metric
    if any(folder.glob(f'*/{FINISHED}')) and (found := scores(folder, metric)):
        return found[max(found)]  # its worker was killed before it could write so, or the journal is gone
    folder.mkdir(parents=True, exist_ok=True)
    # The training holds the lock too: it may outlive a worker that is killed, and nobody else takes its folder.
    with (folder / CONSOLE).open('a') as console:
        process = subprocess.Popen(
            command(task, seed, folder), stdout=console, stderr=subprocess.STDOUT, pass_fds=[task.lives]
        )
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status == 130:
        raise KeyboardInterrupt
    said = (folder / CONSOLE).read_text(errors='replace').strip().splitlines() or ['it said nothing']
    if status < 0:
        raise InputError(
            f'Ended by signal {-status}; started again it goes on from its last state ({folder / CONSOLE}).'
        )
    if status:
        raise InputError(f'{said[-1]} ({folder / CONSOLE})')
    if not (found := scores(folder, metric)):
        raise InputError(f'{folder}: its validation has no score {metric}. Set metric in the sweep file.')
    return found[max(found)]
