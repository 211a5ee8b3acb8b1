"""The queue of a sweep: trials of Optuna in its journal file, each taken by one worker and never twice at a time."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmsparse.analysis.sweeps.journal import open_journal
from mmsparse.analysis.sweeps.locks import hold, locked, seen_here_only
from mmsparse.analysis.sweeps.recipe_file import Recipe, read_recipe
from mmsparse.analysis.sweeps.scores import scores
from mmsparse.analysis.sweeps.search import distributions, sampler
from mmsparse.analysis.sweeps.sweep_file import Point, Sweep
from mmsparse.errors import InputError
from mmsparse.utils.value_checks import writable_folder

JOURNAL, GUARD = 'journal.log', 'queue.lock'
LIVES, CONSOLE = 'worker.lock', 'console.log'  # of a run, or a searched point

REMEDIES = (  # of a grid, and of a search
    'Move the file away and start again: runs go on from their states, and finished ones stay.',
    'Name another --work-dir: which values a point had is written there. Finished runs stay.',
)


@dataclass(frozen=True)
class Task:
    """A trial that this process has taken.

    Attributes:
        point: what is to be trained.
        options: those of the point, and the values that were searched for.
        lives: descriptor of the lock that says so to others.
    """

    study: Any
    trial: Any
    point: Point
    options: dict[str, str]
    lives: int

    @property
    def label(self) -> str:
        """Name of the method in results, data aside: the config and what differs from others; '' for one by itself."""
        values = [f'{path.split(".")[-1]}={value}' for path, value in self.trial.params.items()]
        return ' '.join([self.point.label or Path(self.point.config).stem, *values]) if values else self.point.label


class Queue:
    """The trials of a sweep.

    A grid stands in the queue point by point: Optuna's GridSampler draws, and lets workers meet at one point. A search
    stands there as trials without values, which its sampler gives them when they are taken.

    Args:
        sweep: what is to be trained.
        folder: of the sweep; made where it is missing.

    Raises:
        InputError: the journal is damaged or another sweep's, or its folder has no locks.
    """

    def __init__(self, sweep: Sweep, folder: Path):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.states = optuna.trial.TrialState
        self.sweep, self.folder, self.guard = sweep, folder, folder / GUARD
        self.points = {point.name: point for point in sweep.points()}
        self.space = distributions(sweep.search) if sweep.search else None
        writable_folder(folder, '--work-dir')
        with locked(self.guard):
            storage = open_journal(folder / JOURNAL, lost=REMEDIES[sweep.search is not None])
            names = dict.fromkeys(f'{sweep.name}: {cell}' if sweep.search else sweep.name for cell in sweep.cells())
            theirs = {study.study_name.split(': ')[0] for study in storage.get_all_studies()} - {sweep.name}
            if theirs:
                raise InputError(
                    f'{folder / JOURNAL}: the queue of {", ".join(sorted(theirs))}, received the sweep {sweep.name}. '
                    'Name another --work-dir.'
                )
            self.studies = [
                optuna.create_study(
                    storage=storage,
                    study_name=name,
                    direction='maximize',
                    load_if_exists=True,
                    sampler=sampler(sweep.search) if sweep.search else optuna.samplers.RandomSampler(),
                )
                for name in names
            ]

    def fill(self, recipes: dict[str, Recipe]) -> Counter:
        """Put into the queue what has neither finished nor is being trained; return how many there are of each state.

        Args:
            recipes: of each cell. One that was begun with another config is refused.

        Raises:
            InputError: finished runs would be mixed with others of another config or search.
        """
        with locked(self.guard):
            self._settle(recipes)
            live = {}
            for study in self.studies:
                self._take_up(study)
                for trial in study.get_trials(deepcopy=False):
                    if not trial.state.is_finished() or (trial.state == self.states.COMPLETE and self._there(trial)):
                        live[trial.user_attrs['run']] = trial
            for point in self.points.values():
                if point.name not in live:
                    self._study(point).enqueue_trial(self._params(point), user_attrs=dict(run=point.name))
        return self.count()

    def take(self) -> Task | None:
        """Return the next trial, held for this process, or None where none is waiting.

        A trial whose worker was killed is taken up first; its runs go on from their last states.
        """
        with locked(self.guard):
            for study in self.studies:
                self._take_up(study)
                while study.get_trials(deepcopy=False, states=(self.states.WAITING,)):
                    self._seed(study)
                    trial = study.ask(self.space)
                    point = self.points.get(trial.user_attrs['run'])
                    if point is None:  # the file no longer has it
                        study.tell(trial, state=self.states.PRUNED)
                        continue
                    (self.folder / point.name).mkdir(parents=True, exist_ok=True)
                    lives = hold(self.folder / point.name / LIVES)
                    if lives is None:
                        study.tell(trial, state=self.states.FAIL)
                        continue
                    trial.set_user_attr('host', socket.gethostname())
                    values = {path: str(value) for path, value in trial.params.items()}
                    recipe = read_recipe(self.folder / point.cell)
                    settled = recipe.options if recipe else {}
                    return Task(study, trial, point, {**point.options, **settled, **values}, lives)
        return None

    def finish(self, task: Task, value: float | None, **notes) -> None:
        """Write down how a trial has ended, by its score or, without one, as failed, and let go of it."""
        with locked(self.guard):
            for key, note in notes.items():
                task.trial.set_user_attr(key, note)
            state = self.states.COMPLETE if value is not None else self.states.FAIL
            task.study.tell(task.trial, value, state)
        os.close(task.lives)

    def trials(self) -> Iterator[tuple[Point, Any]]:
        """Yield each point of the file and its latest trial, None where there is none."""
        latest = {
            trial.user_attrs['run']: trial for study in self.studies for trial in study.get_trials(deepcopy=False)
        }
        return ((point, latest.get(name)) for name, point in self.points.items())

    def count(self) -> Counter:
        """Return how many points are in each of Optuna's states."""
        return Counter(trial.state.name if trial else 'WAITING' for _, trial in self.trials())

    def _take_up(self, study) -> None:
        """Let trials wait again whose worker no longer lives."""
        for trial in study.get_trials(deepcopy=False, states=(self.states.RUNNING,)):
            host, name = trial.user_attrs.get('host'), trial.user_attrs['run']
            option = seen_here_only(self.folder)
            if option and host not in (None, socket.gethostname()):
                raise InputError(
                    f'{self.folder}: {name} was begun on {host}, and with the mount option {option} no lock of that '
                    "machine is seen here. Let one machine's workers alone have this sweep, or mount without it; "
                    "Optuna's journal may be shared so (JournalFileOpenLock), but not who lives. If nothing runs on "
                    f'{host}, move {self.folder / JOURNAL} away: runs go on from their states.'
                )
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            lives = hold(self.folder / name / LIVES)
            if lives is not None:
                os.close(lives)
                study.tell(trial.number, state=self.states.FAIL)
                study.enqueue_trial(trial.params, user_attrs=dict(run=name))

    def _seed(self, study) -> None:
        """Let a sampler's seed follow the place in the queue: each worker's would draw what the others' have drawn."""
        if self.sweep.search and self.sweep.search.sampler.get('seed') is not None:
            taken = len(study.get_trials(deepcopy=False)) - len(
                study.get_trials(deepcopy=False, states=(self.states.WAITING,))
            )
            study.sampler = sampler(self.sweep.search, taken)

    def _params(self, point: Point) -> dict:
        """Return the values that a failed trial had: its folder is theirs."""
        study = self._study(point)
        had = [t.params for t in study.get_trials(deepcopy=False) if t.user_attrs['run'] == point.name and t.params]
        return had[-1] if had else {}

    def _study(self, point: Point):
        return self.studies[list(self.sweep.cells()).index(point.cell)] if self.sweep.search else self.studies[0]

    def _there(self, trial) -> bool:
        """Tell whether the results of a finished trial still lie in its folders."""
        point = self.points.get(trial.user_attrs['run'])
        return point is None or all(
            scores(self.folder / folder, self.sweep.metric) for folder in point.folders().values()
        )

    def _settle(self, recipes: dict[str, Recipe]) -> None:
        """Write down what runs are begun with, and keep runs of two recipes apart."""
        begun = {
            point.cell
            for point in self.points.values()
            if any((self.folder / name / CONSOLE).exists() for name in point.folders().values())
        }
        for cell, recipe in recipes.items():
            known = read_recipe(self.folder / cell)
            if cell in begun and known is not None and known.digest != recipe.digest:
                raise InputError(
                    f'{self.folder}: {cell} was begun with another config: its file, the files that it inherits or '
                    'the options of the sweep have changed, and runs of two kinds would stand in one row. Set them as '
                    'they were, or name another --work-dir; finished results stay.'
                )
        for study in self.studies if self.sweep.search else ():
            search = json.loads(json.dumps(dict(vars(self.sweep.search), trials=0)))
            known = study.user_attrs.get('search')
            if begun and known != search:
                told = f'with {known}, received {search}' if known else 'with a journal that is gone'
                raise InputError(
                    f'{self.folder}: the search was begun {told}. Set it as it was (more trials are welcome), or name '
                    'another --work-dir; finished results stay.'
                )
            if known != search:
                study.set_user_attr('search', search)
        for cell, recipe in recipes.items():
            if cell not in begun or read_recipe(self.folder / cell) is None:
                recipe.write(self.folder / cell)
