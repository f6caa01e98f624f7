"""Areas under curves and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bedside.data.objects import stable_generator

RESAMPLES = 2000


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def area_under_curve(values: Sequence[float]) -> float | None:
    """Trapezoids under ``values`` one apart, from 0 to ``len(values) - 1``; None for fewer than two values."""
    return float(np.trapezoid(values)) if len(values) >= 2 else None


def bootstrap_interval(cases: NDArray[np.float64], seed: object) -> tuple[Interval, ...] | None:
    """The percentile interval of the mean over cases, for each column.

    Args:
        cases: (cases, rounds).
        seed: Anything; equal seeds draw equally.

    Returns:
        One interval per column; None for fewer than two cases.
    """
    return _percentiles(resampled_means(cases, seed)) if len(cases) > 1 else None


def bootstrap_interval_of_sets(sets: Sequence[tuple[NDArray[np.float64], object]]) -> tuple[Interval, ...] | None:
    """The percentile interval of the mean over sets, each being the mean of its cases, by resampling cases within sets.

    The sets themselves stay: the interval says how far the mean hangs on which of their cases were there, and nothing
    of how other sets would do. A set of one case cannot be resampled and adds no width.

    Args:
        sets: For each set its cases (cases, rounds) and its seed.

    Returns:
        One interval per column; None where no set has two cases.
    """
    if all(len(cases) < 2 for cases, _ in sets):
        return None
    return _percentiles(np.mean([resampled_means(cases, seed) for cases, seed in sets], axis=0))


def resampled_means(cases: NDArray[np.float64], seed: object) -> NDArray[np.float64]:
    """Means (resamples, rounds) of cases (cases, rounds) that were drawn anew, with replacement, each time."""
    count = len(cases)
    drawn = stable_generator("bootstrap", seed).integers(count, size=(RESAMPLES, count))
    # How often each case was drawn, so that the means of all columns are one product.
    weights = np.apply_along_axis(np.bincount, 1, drawn, minlength=count) / count
    return np.asarray(weights @ cases)


def _percentiles(means: NDArray[np.float64]) -> tuple[Interval, ...]:
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return tuple(Interval(float(a), float(b)) for a, b in zip(low, high, strict=True))
