"""What few runs say about a method: a mean with its interval, and what stands between two methods, in pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from scipy.stats import sem, t, ttest_rel, wilcoxon

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval by Student's t, which takes the values as independent draws.

    Attributes:
        n: how many values there are.
        mean: of them.
        half: the interval's half width; None for a single value, of which none is known.
    """

    n: int
    mean: float
    half: float | None

    def __str__(self) -> str:
        return f'{self.mean:.2f}' + ('' if self.half is None else f' ± {self.half:.2f}')


@dataclass(frozen=True)
class Paired:
    """Differences in pairs: the same seed, or the same task, under two methods.

    Attributes:
        n: pairs.
        difference: their mean and its interval.
        t_test: two-sided p of Student's t for pairs; None where fewer than two pairs, or no two, differ.
        wilcoxon: two-sided p of Wilcoxon's signed ranks, exact without ties; None where all pairs are equal.
        least: the smallest p that signed ranks of so many pairs that differ can have, 2 / 2^n.
    """

    n: int
    difference: Estimate
    t_test: float | None
    wilcoxon: float | None
    least: float


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean and interval of at least one value."""
    n = len(values)
    return Estimate(n, mean(values), float(t.ppf((1 + LEVEL) / 2, n - 1) * sem(values)) if n > 1 else None)


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Paired:
    """Compare at least one pair; a positive difference is in favour of ours."""
    gains = [one - other for one, other in zip(ours, theirs, strict=True)]
    differ = sum(gain != 0 for gain in gains)
    spread = len(gains) > 1 and not all(math.isclose(gain, gains[0], abs_tol=1e-9) for gain in gains)
    return Paired(
        len(gains),
        estimate(gains),
        float(ttest_rel(ours, theirs).pvalue) if spread else None,
        float(wilcoxon(gains).pvalue) if differ else None,
        2 / 2**differ if differ else 1.0,
    )
