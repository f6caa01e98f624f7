"""How far a model's own estimates of its predictions can be trusted, and the curve that makes them right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bedside.core.errors import InputError
from bedside.data.catalogue import DataSet
from bedside.engines.load import load_segmenter
from bedside.engines.uncertainty import Calibration, fit_calibration
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.results import ObjectResult
from bedside.evaluate.runner import Advance, Entry, evaluate_sets
from bedside.evaluate.starts import Start

if TYPE_CHECKING:
    from bedside.weights.store import WeightsFiles

BINS = 10
PROMISE = Calibration((0.0, 1.0), (0.0, 1.0))
"""Tells the DSC that the probabilities promise as it is."""
METRIC = "dsc"


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
    pairs = [
        (r.quality, r.scores[METRIC])
        for o in objects
        if o.candidate == candidate
        for r in o.rounds
        if r.quality is not None and METRIC in r.scores and r.seconds > 0
    ]
    return [float(p[0]) for p in pairs], [float(p[1]) for p in pairs]


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
    """Fit a model's curve on labelled data, from boxes and from clicks, with corrections.

    Args:
        name: The model.
        weights: Its files.
        sets: Datasets to fit on, none of them of the split ``val``.
        device: Where to run it.
        clicks: Corrective clicks per object.
        selection: Which objects.
        advance: Called after each case of each start.

    Returns:
        The curve, and the number of predictions behind it.

    Raises:
        InputError: A set is kept for measuring, or there are too few predictions.
    """
    kept = [s.name for s in sets if s.split == "val"]
    if kept:
        raise InputError("calibration", expected="datasets to train on", got=f"{kept[0]}, kept for measuring")
    estimated: list[float] = []
    found: list[float] = []
    starts: tuple[Start, ...] = ("box", "point")
    for start in starts:
        entry = Entry(name, "model", load_segmenter(name, device, weights=weights, calibration=PROMISE))
        protocol = ClicksProtocol(start=start, clicks=clicks, metrics=(METRIC,))
        result = evaluate_sets(sets, [entry], protocol, selection or ObjectSelection(), advance)
        pair = estimates(result.objects, name)
        estimated += pair[0]
        found += pair[1]
    return fit_calibration(np.asarray(estimated), np.asarray(found)), len(found)
