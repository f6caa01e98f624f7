"""What each precision that this machine can compute in costs in DSC, and how long it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BackendError
from bedside.data.catalogue import DataSet
from bedside.engines import load_segmenter
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.clicks_protocol import ClicksProtocol
from bedside.evaluate.runner import Advance, Entry, evaluate_sets
from bedside.runtime.backend import Precision, choose_backend
from bedside.runtime.openvino import computes_in_bf16, int8_graph
from bedside.runtime.openvino_core import shared_core
from bedside.weights.models import model_card
from bedside.weights.store import WeightsFiles, find_weights

PASSES = 30
"""Passes of which the fastest tells a precision's time; the others had to share the machine."""


@dataclass(frozen=True)
class PrecisionResult:
    """One precision of a model.

    Attributes:
        precision: "fp32", "bf16" or "int8".
        dsc: After each round, mean over sets.
        milliseconds: Milliseconds of one pass of the network; NaN for a model of several graphs.
        answer_milliseconds: Predict milliseconds of one prediction, mean over all.
    """

    precision: Precision
    dsc: tuple[float, ...]
    milliseconds: float
    answer_milliseconds: float


def possible_precisions(files: WeightsFiles) -> list[Precision]:
    """Return what OpenVINO can compute in here with these weights: int8 needs a graph made of them."""
    possible: list[Precision] = ["fp32"]
    if computes_in_bf16(shared_core()):
        possible.append("bf16")
    try:
        int8_graph(files)
        possible.append("int8")
    except BackendError:
        pass
    return possible


def measure_precisions(
    name: str, sets: Sequence[DataSet], selection: ObjectSelection, *, clicks: int = 3, advance: Advance | None = None
) -> list[PrecisionResult]:
    """Measure each possible precision on the same objects, from a tight box and corrective clicks.

    Args:
        name: Model in the registry, whose weights are installed.
        sets: Labelled images.
        selection: Which objects.
        clicks: Corrections of each object.
        advance: Called after each case of each precision.

    Raises:
        WeightsError: The model has no weights.
    """
    files = find_weights(name)
    precisions = possible_precisions(files)
    entries = [Entry(p, "model", load_segmenter(name, runtime="openvino", precision=p)) for p in precisions]
    protocol = ClicksProtocol(clicks=clicks, metrics=("dsc",))
    evaluation = evaluate_sets(sets, entries, protocol, selection, advance)
    card = model_card(name)
    sample = {"input": np.zeros((1, len(card.channels), *(card.grid,) * card.dimensions), np.float32)}
    results = []
    for precision in precisions:
        summary = evaluation.summary(precision, None)
        took = pass_milliseconds(files, sample, precision) if not files.part else math.nan
        seconds = summary.seconds_per_answer
        results.append(PrecisionResult(precision, summary.curves["dsc"].values, took, 1000 * seconds))
    return results


def pass_milliseconds(files: WeightsFiles, inputs: Mapping[str, NDArray[Any]], precision: Precision) -> float:
    """Return milliseconds of the fastest of some passes of a graph, compiled beforehand."""
    shapes = {name: tuple(value.shape) for name, value in inputs.items()}
    graph = choose_backend("openvino").load(files, shape=shapes, precision=precision)
    graph.run(inputs)
    times = []
    for _ in range(PASSES):
        begin = time.perf_counter()
        graph.run(inputs)
        times.append(time.perf_counter() - begin)
    return 1000 * min(times)
