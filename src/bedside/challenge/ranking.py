"""Ranks over several submissions, or over models.

The organisers' formula is not public. This one is ours, in the manner of other challenges: on each case and metric the
submissions are ranked, ties sharing the mean of their ranks; the ranks are averaged over metrics and cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from bedside.core.errors import InputError
from bedside.evaluate.metrics import Direction
from bedside.evaluate.statistics import Interval, bootstrap_interval

DECIMALS = 9
"""Scores are compared to so many digits: a difference of rounding is none."""


@dataclass(frozen=True)
class Rank:
    """Where a submission stands.

    Attributes:
        name: Name of the submission.
        place: From 1; equal mean ranks share a place.
        mean: Mean rank over metrics and cases, 1 being the best.
        interval: 95 % by resampling cases; None for fewer than two.
        by_metric: Mean rank over cases.
    """

    name: str
    place: int
    mean: float
    interval: Interval | None
    by_metric: Mapping[str, float]


def rank(
    names: Sequence[str],
    scores: Mapping[str, ArrayLike],
    seed: int = 0,
    directions: Mapping[str, Direction] | None = None,
) -> list[Rank]:
    """Rank submissions, best first.

    Args:
        names: Names of the submissions, each once.
        scores: Metric to an array (submission, case); no NaN.
        seed: Seed of the resampling.
        directions: Which values of a metric are better; higher ones where nothing is said.

    Raises:
        InputError: Fewer than two submissions, a name twice, or scores of unequal shapes.
    """
    if len(names) < 2 or len(set(names)) != len(names):
        raise InputError("ranking", expected="at least two submissions of different names", got=", ".join(names))
    arrays = {metric: np.asarray(values, dtype=np.float64) for metric, values in scores.items()}
    shapes = {a.shape for a in arrays.values()}
    if len(shapes) != 1 or next(iter(shapes))[0] != len(names) or any(np.isnan(a).any() for a in arrays.values()):
        raise InputError("ranking", expected="a score of every submission on every case", got=sorted(shapes))
    signs = {metric: 1 if (directions or {}).get(metric) == "lower" else -1 for metric in arrays}
    ranks = {metric: rankdata(signs[metric] * np.round(a, DECIMALS), axis=0) for metric, a in arrays.items()}
    by_case = np.mean(list(ranks.values()), axis=0)
    means = by_case.mean(axis=1)
    intervals = bootstrap_interval(by_case.T, ("ranks", seed))
    places = rankdata(np.round(means, DECIMALS), method="min")
    rows = [
        Rank(
            name=name,
            place=int(places[number]),
            mean=float(means[number]),
            interval=intervals[number] if intervals else None,
            by_metric={metric: float(r[number].mean()) for metric, r in ranks.items()},
        )
        for number, name in enumerate(names)
    ]
    return sorted(rows, key=lambda row: (row.place, row.name))
