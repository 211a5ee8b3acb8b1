"""Finished runs below a folder, found by the result files that they have left (`mmsparse.ResultHook`)."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmengine.config import Config

from mmsparse.analysis.sweeps.scores import lines
from mmsparse.analysis.trials import LOCAL
from mmsparse.errors import InputError, in_words
from mmsparse.state.card import plain
from mmsparse.visualization.result_file import FINISHED, TESTED, Result, described, read_results

LOGS, CONFIG = 'vis_data', 'vis_data/config.py'
SAME = (*LOCAL, 'resume')  # what two runs may differ in and still be one


def find_runs(folders: Sequence[str | Path]) -> tuple[list[Result], list[str]]:
    """Return the results of finished runs below folders, and a sentence on each folder that has none and why.

    A test counts where nothing has been trained in the same work folder. Of one run that was done twice the later
    counts, which is said.

    Raises:
        InputError: a folder that is not there or cannot be read, no run below one, a damaged result file, or two runs
            of one method, data set and seed whose configs differ.
    """
    runs: dict[tuple, tuple[Result, Path]] = {}
    remarks = []
    for work_dir, logs in _work_dirs(folders).items():
        name = FINISHED if any((log / FINISHED).is_file() for log in logs) else TESTED
        if not any((logs[-1] / file).is_file() for file in (FINISHED, TESTED)):
            remarks.append(f'{work_dir}: not counted, {_unfinished(logs[-1])}')
        for log in (log for log in logs if (log / name).is_file()):
            for result in read_results([log / name]):
                other, before = runs.setdefault(result.place, (result, log))
                if log != before:
                    remarks += _twice(result, other, log, before)
                    runs[result.place] = max((other, before), (result, log), key=lambda run: run[1].name)
    return [result for result, _ in runs.values()], remarks


def _work_dirs(folders: Sequence[str | Path]) -> dict[Path, list[Path]]:
    """Return the folders of logs by work folder, the oldest first."""
    found = defaultdict(set)
    for folder in map(Path, folders):
        logs = list(_logs(folder))
        if not logs:
            raise InputError(
                f'{folder}: no run below this folder, expected work folders of tools/train.py or tools/test.py, in '
                f'which {FINISHED} or {TESTED} stands beside the log.'
            )
        for log in logs:
            found[log.parent].add(log)
    return {work_dir: sorted(logs) for work_dir, logs in sorted(found.items())}


def _logs(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError):
        raise InputError(f'{error.filename}: cannot be read ({error.strerror}). Name the folder of your runs.')

    for place, inner, files in os.walk(folder.resolve(), onerror=refuse):
        if LOGS in inner or FINISHED in files or TESTED in files:
            inner.clear()
            yield Path(place)


def _unfinished(log: Path) -> str:
    """Say how far a run has come."""
    scalars = log / LOGS / 'scalars.json'
    done = {key: value for line in (lines(scalars) if scalars.is_file() else ()) for key, value in line.items()}
    config = _config(log)
    for key, length in (('epoch', 'max_epochs'), ('iter', 'max_iters')):
        if key in done and (end := (config.get('train_cfg') or {}).get(length)):
            if done[key] >= end:
                return f'trained to {key} {end} of {end}, but not validated or without mmsparse.ResultHook.'
            return f'not finished, {key} {done[key]} of {end}. Go on with tools/train.py --resume.'
    return f'neither {FINISHED} nor {TESTED} in {log.name}: it was stopped early.'


def _config(log: Path) -> dict:
    if not (log / CONFIG).is_file():
        return {}
    with in_words(f'{log / CONFIG}: cannot be read', 'Remove this run.'):
        return plain(Config.fromfile(log / CONFIG, lazy_import=False).to_dict())


def _twice(result: Result, other: Result, log: Path, before: Path) -> list[str]:
    """Say which of two runs counts; nothing where both say the same."""
    if result == other:
        return []
    configs = [{key: value for key, value in _config(one).items() if key not in SAME} for one in (log, before)]
    if unlike := next(_unlike(*configs), None):
        raise InputError(
            f'{described(result)}: two runs, {before} and {log}, whose configs differ in {unlike}. Give the runs of '
            "one an experiment_name of their own (--cfg-options experiment_name='…'), or collect one of them."
        )
    later = max(log, before, key=lambda one: one.name)
    return [f'{described(result)}: run twice with one config, {before} and {log}; {later.name} counts, the later.']


def _unlike(one: Mapping, other: Mapping, place: str = '') -> Iterator[str]:
    """Give the entries in which two configs differ."""
    for key in sorted(one.keys() | other.keys()):
        ours, theirs = one.get(key), other.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            yield from _unlike(ours, theirs, f'{place}{key}.')
        elif ours != theirs:
            yield f'{place}{key}'
