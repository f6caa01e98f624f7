"""How far a model's own estimates of its predictions can be trusted, and the curve that makes them right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bedside.core.errors import InputError
from bedside.core.prompts import InitialMask
from bedside.data.catalogue import DataSet
from bedside.engines.load import load_segmenter
from bedside.engines.uncertainty import Calibration, estimate_kind, fit_calibrations
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClickSource, ClicksProtocol
from bedside.evaluate.results import ObjectResult, RoundScore
from bedside.evaluate.runner import Advance, Entry, evaluate_sets
from bedside.evaluate.starts import Start
from bedside.simulate.careless import careless_click, far_click, useless_click
from bedside.simulate.clicks import next_click

if TYPE_CHECKING:
    from bedside.engines.protocol import Segmenter
    from bedside.weights.store import WeightsFiles

BINS = 10
PROMISE = Calibration((0.0, 1.0), (0.0, 1.0))
"""Tells the DSC that the probabilities promise as it is."""
METRIC = "dsc"
STARTS: tuple[Start, ...] = ("box", "point", "scribble", "lasso", "mask")
"""First prompts that estimates are fitted to and held against."""
USERS: Mapping[str, ClickSource] = {
    "careful": next_click,
    "careless": careless_click,
    "useless": useless_click,
    "far": far_click,
}
"""Users by how they click: in the middle of the largest error, anywhere in an error, where nothing is wrong, and on
the background far away.
"""
CORRECTING = ("careful", "careless")
"""Those of them whose clicks correct something."""


@dataclass(frozen=True)
class Bin:
    """Predictions whose estimates lie close together.

    Attributes:
        estimate: Mean of the estimates.
        found: Mean DSC.
        predictions: Their number.
    """

    estimate: float
    found: float
    predictions: int


def estimates(objects: Sequence[ObjectResult], candidate: str) -> tuple[list[float], list[float]]:
    """Collect estimate and DSC of every prediction of a candidate that has both; of each object, all rounds."""
    rounds = list(_estimated([o for o in objects if o.candidate == candidate]))
    return [float(r.quality or 0.0) for r in rounds], [float(r.scores[METRIC]) for r in rounds]


def reliability(estimated: Sequence[float], found: Sequence[float], bins: int = BINS) -> list[Bin]:
    """Put predictions in bins of equal width of their estimates, empty bins left out."""
    places = np.minimum((np.asarray(estimated) * bins).astype(int), bins - 1)
    values, truth = np.asarray(estimated), np.asarray(found)
    return [
        Bin(float(values[places == b].mean()), float(truth[places == b].mean()), int((places == b).sum()))
        for b in range(bins)
        if (places == b).any()
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Take the mean difference of estimate and DSC, bins weighted by predictions (expected calibration error)."""
    total = sum(b.predictions for b in bins)
    return sum(abs(b.estimate - b.found) * b.predictions for b in bins) / total if total else 0.0


@dataclass(frozen=True)
class Told:
    """What was told of predictions, by one kind of first prompt and of user.

    Attributes:
        start: The first prompt.
        user: Name in ``USERS`` of who corrected; "" for the first predictions, before any correction.
        predictions: Their number.
        told: Their mean estimate; NaN without any.
        found: Their mean DSC; NaN without any.
        error: Expected calibration error.
    """

    start: Start
    user: str
    predictions: int
    told: float
    found: float
    error: float


def check_calibration(
    name: str,
    weights: WeightsFiles,
    sets: Sequence[DataSet],
    *,
    device: str = "auto",
    clicks: int = 3,
    selection: ObjectSelection | None = None,
    advance: Advance = lambda _: None,
) -> list[Told]:
    """Hold what a model tells of its predictions against the truth, by kinds of prompts and users.

    Args:
        name: The model, whose card has a curve.
        weights: Its files.
        sets: Datasets to measure on, of any split.
        device: Where to run it.
        clicks: Corrective clicks per object.
        selection: Which objects.
        advance: Called after each case of each start.

    Returns:
        For each first prompt a row of the first predictions, and one for each user who corrected them.
    """
    segmenter = load_segmenter(name, device, weights=weights)
    found: dict[tuple[Start, str], list[tuple[float, float]]] = {}
    for start, user, objects in _sessions(name, segmenter, sets, clicks, selection, advance):
        for score in _estimated(objects):
            kind = user if score.clicks else ""
            found.setdefault((start, kind), []).append((float(score.quality or 0.0), score.scores[METRIC]))
    rows = []
    for start in STARTS:
        for user in ("", *USERS):
            told, true = zip(*found[start, user], strict=True) if (start, user) in found else ((), ())
            error = calibration_error(reliability(told, true))
            mean = (float(np.mean(told)), float(np.mean(true))) if told else (math.nan, math.nan)
            rows.append(Told(start, user, len(told), *mean, error))
    return rows


def calibrate(
    name: str,
    weights: WeightsFiles,
    sets: Sequence[DataSet],
    *,
    device: str = "auto",
    clicks: int = 3,
    selection: ObjectSelection | None = None,
    advance: Advance = lambda _: None,
) -> tuple[Calibration, int]:
    """Fit a model's curves on labelled data, from every kind of first prompt, with clicks of users of every kind.

    Args:
        name: The model.
        weights: Its files.
        sets: Datasets to fit on, none of them of the split ``val``.
        device: Where to run it.
        clicks: Corrective clicks per object.
        selection: Which objects.
        advance: Called after each case of each start.

    Returns:
        The curves, and the number of predictions behind them.

    Raises:
        InputError: A set is kept for measuring, or there are too few predictions.
    """
    kept = [s.name for s in sets if s.split == "val"]
    if kept:
        raise InputError("calibration", expected="datasets to train on", got=f"{kept[0]}, kept for measuring")
    expected: list[float] = []
    found: list[float] = []
    kinds: list[str] = []
    segmenter = load_segmenter(name, device, weights=weights, calibration=PROMISE)
    for _, user, objects in _sessions(name, segmenter, sets, clicks, selection, advance):
        for result in objects:
            assert result.trace is not None
            for score in _estimated([result]):
                # What clicks that correct nothing say is not told, see ``told_quality``.
                if score.clicks and user not in CORRECTING:
                    continue
                expected.append(float(score.quality or 0.0))
                found.append(score.scores[METRIC])
                first = result.trace.prompts[:1]
                kinds.append(estimate_kind(first, score.clicks > 0 or isinstance(first[0], InitialMask)))
    return fit_calibrations(np.asarray(expected), np.asarray(found), kinds), len(found)


def _sessions(
    name: str,
    segmenter: Segmenter,
    sets: Sequence[DataSet],
    clicks: int,
    selection: ObjectSelection | None,
    advance: Advance,
) -> Iterator[tuple[Start, str, Sequence[ObjectResult]]]:
    """Yield the objects by first prompt and user: each case meets every first prompt, the users by turns."""
    for turn, start in enumerate(STARTS):
        for number, (user, source) in enumerate(USERS.items()):
            those = [replace(s, cases=s.cases[(number - turn) % len(USERS) :: len(USERS)]) for s in sets]
            protocol = ClicksProtocol(start=start, clicks=clicks, metrics=(METRIC,), click_source=source)
            chosen = [s for s in those if s.cases]
            if chosen:
                entry = Entry(name, "model", segmenter)
                result = evaluate_sets(chosen, [entry], protocol, selection or ObjectSelection(), advance)
                yield start, user, result.objects


def _estimated(objects: Sequence[ObjectResult]) -> Iterator[RoundScore]:
    return (r for o in objects for r in o.rounds if r.quality is not None and METRIC in r.scores and r.seconds > 0)
