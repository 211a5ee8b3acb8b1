"""What a campaign is, and how its trials are counted."""

from __future__ import annotations

import os
import platform
import random
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

# A trial by its number and its own random numbers; raises, whatever it likes, where it shows something else.
Trial = Callable[[int, random.Random], str]
COLUMNS = ('campaign', 'must show', 'passed', 'trials', 'of which', 'minutes', 'seed', 'machine', 'day')


@dataclass(frozen=True)
class Campaign:
    """Many trials of one promise.

    Attributes:
        name: for the command line.
        shows: what every trial must show.
        trials: of the whole campaign.
        prepare: makes what all trials share in a folder, for a number of trials, and returns how one is run. What a
            trial returns is a word for its kind, such as 'in a save'; kinds are counted.
    """

    name: str
    shows: str
    trials: int
    prepare: Callable[[Path, int], Trial]


@dataclass
class Counts:
    """What came of a campaign."""

    name: str
    shows: str
    trials: int
    passed: int
    kinds: dict[str, int]
    failures: list[str]
    minutes: float
    seed: int
    machine: str
    day: str

    def line(self) -> str:
        """Return it for the terminal."""
        kinds = f' ({told})' if (told := self.of_which()) else ''
        return (
            f'{self.name:10} {self.passed:4} of {self.trials:4} passed, {self.minutes:.1f} min, {self.machine}{kinds}'
        )

    def of_which(self) -> str:
        """Return how many trials were of which kind."""
        return ', '.join(f'{count} {kind}' for kind, count in sorted(self.kinds.items()) if kind)

    def row(self) -> tuple:
        """Return it as a row of `COLUMNS`."""
        own = (self.shows, self.passed, self.trials, self.of_which(), self.minutes, self.seed, self.machine, self.day)
        return self.name, *own


def run(campaign: Campaign, trials: int, seed: int, say: Callable[[str], None]) -> Counts:
    """Run trials; the failure of one is written down with its reason and ends nothing.

    Args:
        campaign: which.
        trials: how many.
        seed: of the random numbers; trial N draws the same ones however many there are.
        say: told of every failure.
    """
    started, kinds, failures = time.monotonic(), {}, []
    with tempfile.TemporaryDirectory(prefix=f'{campaign.name}_') as folder:
        trial = campaign.prepare(Path(folder), trials)
        for number in range(trials):
            try:
                kind = trial(number, random.Random(f'{campaign.name} {seed} {number}')) or ''
                kinds[kind] = kinds.get(kind, 0) + 1
            except Exception as error:  # of whatever kind: it is what the campaign looks for
                failures.append(f'{number}: {reason(error)}')
                say(f'{campaign.name} {failures[-1]}')
    return Counts(
        name=campaign.name,
        shows=campaign.shows,
        trials=trials,
        passed=trials - len(failures),
        kinds=kinds,
        failures=failures,
        minutes=round((time.monotonic() - started) / 60, 1),
        seed=seed,
        machine=machine(),
        day=date.today().isoformat(),
    )


def reason(error: Exception) -> str:
    """Return what a trial has shown instead, and where it said so."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    text = ' '.join(f'{type(error).__name__}: {error}'.split())
    return f'{text[:1500]} ({Path(at.filename).name}:{at.lineno})'


def must(true: bool, text: str) -> None:
    """Let a trial fail where something is not true; `assert` would go under ``python -O``."""
    if not true:
        raise AssertionError(text)


def machine() -> str:
    """Return the kind of machine that this is."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        kind = next(line.split(':')[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        kind = platform.processor() or platform.machine()
    return f'{os.cpu_count()} × {kind}'
