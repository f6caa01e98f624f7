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
    count = len(cases)
    if count < 2:
        return None
    drawn = stable_generator("bootstrap", seed).integers(count, size=(RESAMPLES, count))
    # How often each case was drawn, so that the means of all columns are one product.
    weights = np.apply_along_axis(np.bincount, 1, drawn, minlength=count) / count
    low, high = np.percentile(weights @ cases, (2.5, 97.5), axis=0)
    return tuple(Interval(float(a), float(b)) for a, b in zip(low, high, strict=True))
