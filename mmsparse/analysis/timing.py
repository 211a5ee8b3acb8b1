"""Compare calls on a machine that is not quiet: A B A B …, so that a disturbance meets every contender alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import torch

from mmsparse.errors import InputError

LEAST_ROUNDS = 5
LEAST_SECONDS = 0.1  # of one sample: shorter ones measure the clock and the scheduler


@dataclass(frozen=True)
class Spread:
    """Median, lowest and highest of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int = LEAST_ROUNDS,
    warmup: int = 2,
    finish: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time calls in turn.

    Args:
        calls: by name, in the order of each round.
        rounds: samples of each call.
        warmup: calls of each before the first sample; the last of them decides how many calls make one sample.
        finish: waits until the device is done; called before each reading of the clock.
        clock: seconds.

    Returns:
        Seconds per call for each round, by name; round i of two names lies side by side in time.

    Raises:
        InputError: fewer than 5 rounds, or no warm-up.
    """
    if rounds < LEAST_ROUNDS or warmup < 1:
        raise InputError(
            f'benchmark: received rounds={rounds}, warmup={warmup}; expected at least {LEAST_ROUNDS} rounds and 1 '
            'call of warm-up.'
        )

    def seconds(call: Callable[[], object], times: int) -> float:
        finish()
        start = clock()
        for _ in range(times):
            call()
        finish()
        return (clock() - start) / times

    repeats = {}
    for name, call in calls.items():
        last = [seconds(call, 1) for _ in range(warmup)][-1]
        repeats[name] = math.ceil(LEAST_SECONDS / max(last, LEAST_SECONDS / 1000))
    samples = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name].append(seconds(call, repeats[name]))
    return samples


def speedup(reference: Sequence[float], own: Sequence[float]) -> Spread:
    """Return how many times as fast as the reference, round by round: above 1 is faster."""
    return Spread.of([theirs / ours for theirs, ours in zip(reference, own, strict=True)])


def clock_mhz(device: str) -> int | None:
    """Return the present clock: mean over the processor's cores, or the GPU's; None where the system does not say."""
    if device == 'cuda':
        try:
            return torch.cuda.clock_rate()
        except Exception:  # needs NVIDIA's management library, whose errors are its own
            return None
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return None
    clocks = [float(line.split(':')[1]) for line in lines if line.startswith('cpu MHz')]
    return round(mean(clocks)) if clocks else None
