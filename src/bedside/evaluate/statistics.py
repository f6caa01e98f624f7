"""Areas under curves and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedside.data.objects import stable_generator

RESAMPLES = 2000


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def area_under_curve(values: Sequence[float]) -> float | None:
    """Sum the trapezoids under ``values`` one apart, from 0 to ``len(values) - 1``; None for fewer than two
    values.
    """
    return float(np.trapezoid(values)) if len(values) >= 2 else None


def known_mean(values: ArrayLike) -> NDArray[np.float64]:
    """Take the mean over the first axis of those values that are there; NaN is none.

    Args:
        values: (cases, rounds).

    Returns:
        (rounds,), NaN where no case has a value.
    """
    array = np.asarray(values, dtype=np.float64)
    missing = np.isnan(array)
    if not missing.any():
        return np.asarray(np.mean(array, axis=0))
    count = np.sum(~missing, axis=0)
    return np.asarray(np.where(count > 0, np.nansum(array, axis=0) / np.maximum(count, 1), np.nan))


def bootstrap_interval(cases: NDArray[np.float64], seed: object) -> tuple[Interval, ...] | None:
    """Find the percentile interval of the mean over cases, for each column.

    Args:
        cases: (cases, rounds); what is not finite takes no part.
        seed: Anything; equal seeds draw equally.

    Returns:
        One interval per column; None for fewer than two cases.
    """
    return _percentiles(resampled_means(cases, seed)) if len(cases) > 1 else None


def bootstrap_interval_of_sets(sets: Sequence[tuple[NDArray[np.float64], object]]) -> tuple[Interval, ...] | None:
    """Find the percentile interval of the mean over sets, each the mean of its cases, by resampling cases within sets.

    The sets themselves stay: the interval says how far the mean hangs on which of their cases were there, and nothing
    of how other sets would do. A set of one case cannot be resampled and adds no width.

    Args:
        sets: For each set its cases (cases, rounds) and its seed.

    Returns:
        One interval per column; None where no set has two cases.
    """
    if all(len(cases) < 2 for cases, _ in sets):
        return None
    means = np.array([resampled_means(cases, seed) for cases, seed in sets])
    return _percentiles(known_mean(means))


def resampled_means(cases: NDArray[np.float64], seed: object) -> NDArray[np.float64]:
    """Return means (resamples, rounds) of cases (cases, rounds) that were drawn again, with replacement, each time."""
    count = len(cases)
    drawn = stable_generator("bootstrap", seed).integers(count, size=(RESAMPLES, count))
    # How often each case was drawn, so that the means of all columns are one product.
    weights = np.apply_along_axis(np.bincount, 1, drawn, minlength=count) / count
    known = np.isfinite(cases)
    if known.all():
        return np.asarray(weights @ cases)
    weight = weights @ known
    sums = weights @ np.where(known, cases, 0.0)
    return np.where(weight > 0, sums / np.where(weight > 0, weight, 1.0), np.nan)


def _percentiles(means: NDArray[np.float64]) -> tuple[Interval, ...]:
    """Cut 2.5 % off at both ends of each column; NaN, which a column without any value has, stays out."""
    columns = [column[~np.isnan(column)] for column in means.T]
    ends = [np.percentile(c, (2.5, 97.5)) if c.size else (np.nan, np.nan) for c in columns]
    low, high = np.array(ends).T
    return tuple(Interval(float(a), float(b)) for a, b in zip(low, high, strict=True))
