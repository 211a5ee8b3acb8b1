"""Build configs and run them for five steps: to find what is broken before it costs a night on a GPU.

    python tools/check_configs.py                  # all configs of the project are built, a covering set of them runs
    python tools/check_configs.py --all            # all of them run
    python tools/check_configs.py my_config.py     # one's own: built and run

Built means: read, checked, written and read again, and its model made without memory. A run trains five steps on
generated pictures in the data set's own files and folders, is stopped behind the third, resumed from its state,
validated and tested. Hosts wider than 192 channels are exchanged for a narrow one of the same kind with random
weights, and the table says so; batches are of 2. The covering set has every type and every file of configs/_base_
that any config uses. Configs that only test are tested. A data set of an unknown class reads its own files. Status
1: something failed, and the last lines say what.
"""

import argparse
import os
from pathlib import Path

from mmsparse.cli.options import Changes, parse
from mmsparse.cli.reporting import reporting


def parse_args():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('configs', nargs='*', help='configs, all of which run (default: those of the project)')
    options.add_argument('--all', action='store_true', help='let all configs of the project run')
    options.add_argument(
        '--cfg-options', nargs='+', action=Changes, metavar='KEY=VALUE', help='change entries of every config'
    )
    options.add_argument('--processes', type=int, default=os.cpu_count(), help='at once (default: one per core)')
    options.add_argument('--work-dir', type=Path, help='keep logs, pictures and states here (default: nowhere)')
    return parse(options, lambda args: args.configs)


if __name__ == '__main__':
    parse_args()  # --help and mistakes are answered here, before seconds of imports

import contextlib
import gc
import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from rich.console import Console
from rich.table import Table

from mmsparse.analysis.covering import cover, uses
from mmsparse.analysis.from_config import build_from_config
from mmsparse.analysis.short_run import hosts, narrow_hosts, shorten
from mmsparse.analysis.stand_ins import write_classes
from mmsparse.cli.launch import build_runner, load_config
from mmsparse.config.check import check_config
from mmsparse.config.read import read_config
from mmsparse.errors import InputError
from mmsparse.utils.packaged import home

STEPS, SAVED_AT, PICTURES = 5, 3, 20


class Built(NamedTuple):
    """Of a config: what it uses, and what is wrong with it ('' where nothing is)."""

    used: frozenset[str]
    fault: str


class Ran(NamedTuple):
    """Of a short run: what was done, by which host, on which pictures; what is wrong, and its seconds."""

    done: str
    host: str
    data: str
    fault: str
    seconds: float


class Stopped(Exception):
    """Thrown by `Stop`."""


class Stop(Hook):
    """End a run as a kill does, behind the step at which it was saved."""

    priority = 'LOWEST'

    def after_train_epoch(self, runner) -> None:
        """Runs of epochs: one step is one."""
        if runner.epoch + 1 >= SAVED_AT:
            raise Stopped

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        """Runs of steps."""
        if runner.max_epochs == 1 and runner.iter + 1 >= SAVED_AT:
            raise Stopped


def shipped() -> list[Path]:
    """Every config of the project that is not there to be inherited."""
    found = sorted({*home().glob('configs/**/*.py'), *home().glob('projects/*/configs/**/*.py')})
    return [path for path in found if '_base_' not in path.parts]


def reason(error: BaseException) -> str:
    """In one sentence."""
    text = ' '.join(str(error).split()) or 'no reason given'
    return text if isinstance(error, InputError) else f'{type(error).__name__}: {text[:300]}'


@contextlib.contextmanager
def silent(log: Path) -> Iterator[None]:
    """Let everything that a run prints, C++ included, go into a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    with log.open('a') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), before):
                os.dup2(old, number)
                os.close(old)


def build(job: tuple[str, dict, Path]) -> Built:
    """Read, check, store and build one config."""
    path, options, folder = job
    used = frozenset()
    try:
        with silent(folder / 'log.txt'):
            cfg = read_config(path, options)
            used = uses(cfg)
            check_config(cfg)
            (stored := folder / 'stored').mkdir(parents=True, exist_ok=True)
            cfg.dump(stored / Path(path).name)
            if read_config(stored / Path(path).name).to_dict() != cfg.to_dict():
                raise InputError(f'{path}: written and read again it is another config. Use plain values in it.')
            for host in hosts(cfg.model):
                host['checkpoint'] = False
            build_from_config(cfg, 'meta')
    except (Exception, SystemExit) as error:
        return Built(used, reason(error))
    return Built(used, '')


def run(job: tuple[str, dict, Path]) -> Ran:
    """Train, stop, resume, validate and test one config; only test it where it has nothing to train with."""
    path, options, folder = job
    start, done, host, data, fault = time.monotonic(), [], '', [], ''

    def runner(**more):
        nonlocal host, data
        cfg = load_config(
            arguments(path, options, folder, **more), ('train_dataloader', 'val_dataloader', 'test_dataloader')
        )
        cfg.visualizer.vis_backends = None
        host, data = narrow_hosts(cfg), shorten(cfg, folder / 'data', STEPS, SAVED_AT)
        data = ['stand-in'] if (folder / 'own').is_dir() else data
        cfg.resume, cfg.load_from = bool(more.get('resume')), None
        return build_runner(cfg)

    try:
        with silent(folder / 'log.txt'):
            resumed = None
            if Config.fromfile(path).get('train_dataloader'):
                first = runner()
                first.register_hook(Stop(), 'LOWEST')
                with contextlib.suppress(Stopped):
                    first.train()
                done.append('trained')
                resumed = runner(resume='auto')
                resumed.train()
                if resumed.iter != resumed.max_iters:
                    raise InputError(
                        f'{path}: resumed behind step {SAVED_AT}, it ended at {resumed.iter}, not {resumed.max_iters}.'
                    )
                done.append('resumed')
            if not (resumed or runner()).test():
                raise InputError(f'{path}: its test gives no figure. Set test_evaluator.')
            done.append('tested')
    except (Exception, SystemExit) as error:
        fault = reason(error)
    return Ran(', '.join(done), host, ', '.join(data), fault, time.monotonic() - start)


def arguments(path: str, options: dict, folder: Path, **more) -> Namespace:
    """The command line of tools/train.py for one run; with a folder of classes where a config asks for one."""
    given = dict(config=path, cfg_options=options, launcher='none', work_dir=str(folder / 'run'), seed=None)
    given |= dict(deterministic=False, no_pin_memory=True, data=None, host=None, resume=None)
    if 'own_folder' in Config.fromfile(path):
        given['data'] = str(folder / 'own')
        write_classes(folder / 'own', PICTURES, 2)
    return Namespace(**given | more)


def in_turn(work: Callable, jobs: list, processes: int, told: str, each: int | None, console: Console) -> Iterator:
    """Do jobs in several processes; with `each` = 1 in one of its own for each, since runs leave things behind."""
    context = multiprocessing.get_context('fork')
    with console.status(told) as status, context.Pool(processes, gc.freeze, maxtasksperchild=each) as pool:
        for number, result in enumerate(pool.imap(work, jobs, chunksize=1), start=1):
            status.update(f'{told} {number}/{len(jobs)}')
            yield result


def effort(path: str) -> float:
    """How much longer a config runs than one on the small host, roughly."""
    return 1.0 if Path(path).stem.startswith('tiny') and 'camvid' not in path else 2.0 if 'vitl' not in path else 4.0


def check(paths: list[str], args, folder: Path, console: Console) -> int:
    """Check configs, print the table; return how many failed."""
    torch.set_num_threads(1)
    jobs = {path: (path, args.cfg_options or {}, folder / f'{index:03d}') for index, path in enumerate(paths)}
    processes = max(1, min(args.processes, len(jobs)))
    built = dict(zip(paths, in_turn(build, list(jobs.values()), processes, 'Building', None, console)))
    good = [path for path in paths if not built[path].fault]
    chosen = good
    if not args.configs and not args.all:
        chosen = cover({path: built[path].used for path in good}, {path: effort(path) for path in good})
    chosen = sorted(chosen, key=effort, reverse=True)
    ran = dict(zip(chosen, in_turn(run, [jobs[path] for path in chosen], processes, 'Running', 1, console)))
    table = Table('config', 'built', 'run', 'pictures', 'narrow host instead', 's')
    faults = {}
    for path in paths:
        mine = ran.get(path, Ran('', '', '', '', 0.0))
        if fault := built[path].fault or mine.fault:
            faults[path] = fault
        name = os.path.relpath(path)
        table.add_row(
            name,
            'no' if built[path].fault else 'yes',
            mine.done + ', then failed' * bool(mine.fault),
            mine.data,
            mine.host,
            f'{mine.seconds:.1f}' if path in ran else '',
            style='red' if fault else None,
        )
    console.print(table)
    seconds = sum(mine.seconds for mine in ran.values())
    console.print(
        f'{len(paths)} configs, {len(good)} built, {len(ran)} run in {seconds:.0f} s of {processes} processes.'
    )
    for path, fault in faults.items():
        console.print(f'{os.path.relpath(path)}: {fault}', style='red', markup=False, highlight=False)
    return len(faults)


def main() -> None:
    args = parse_args()
    with reporting(lambda: 'Nothing was kept.' if args.work_dir is None else f'Logs so far are in {args.work_dir}.'):
        sys.path.insert(0, str(home()))  # for plug-ins of projects/
        console = Console(width=None if Console().is_terminal else 180)
        folder = Path(tempfile.mkdtemp()) if args.work_dir is None else args.work_dir
        paths = [str(path) for path in args.configs or shipped()]
        try:
            failed = check(paths, args, folder, console)
        finally:
            if args.work_dir is None:
                shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
