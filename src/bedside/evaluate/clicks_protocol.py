"""The clicks protocol: a first prompt on an object, then corrective clicks where the prediction is most wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import InitialMask, Point, Prompt
from bedside.core.region import Region
from bedside.data.objects import stable_generator
from bedside.engines.protocol import Prediction, Proposing, Segmenter
from bedside.engines.uncertainty import told_quality
from bedside.evaluate.cases import TargetObject
from bedside.evaluate.metrics import (
    DEFAULT_METRICS,
    DEFAULT_TOLERANCE,
    METRICS,
    Sampling,
    ToleranceUnit,
    metric_specs,
)
from bedside.evaluate.results import PackedMask, RoundScore, Trace
from bedside.evaluate.rounds import Timing, run_rounds
from bedside.evaluate.starts import STARTS, Occasion, Start, draw_starts
from bedside.simulate.clicks import next_click
from bedside.simulate.placing import shift_prompt

ClickSource = Callable[[NDArray[Any], NDArray[Any], np.random.Generator], Point | None]
"""``source(truth, prediction, generator)``: where to click next, None where nothing is wrong."""


@dataclass(frozen=True)
class ClicksProtocol:
    """A first prompt, then corrective clicks; prompts accumulate and the mask before is passed along.

    Attributes:
        start: First prompt: the object's tight box, a loose one, a click at its centre, a scribble through its middle,
            a lasso around it, a box for each of its parts, or a mask of it with the faults of another tool. In a volume
            scribbles and lassos are drawn on one slice of any plane, and a flat box, which is all that some models
            take, is that of the largest slice across z.
        clicks: Corrective clicks, at most; a perfect prediction needs no more and keeps its scores, and so does the
            first prediction of a model that takes no clicks.
        metrics: Names in the registry.
        tolerance: Tolerance of surface metrics, in ``unit``.
        unit: See ``Sampling.of``.
        seed: Seed of the simulated user; every candidate meets the same user on the same object.
        candidates: Whether the user picks the best of the masks that the first prompt may mean, where the segmenter
            proposes several; see ``engines.protocol.Proposing``.
        click_source: Who clicks; by default at the centre of the largest connected error.
    """

    start: Start = "box"
    clicks: int = 5
    metrics: tuple[str, ...] = DEFAULT_METRICS
    tolerance: float = DEFAULT_TOLERANCE
    unit: ToleranceUnit = "auto"
    seed: int = 0
    candidates: bool = False
    click_source: ClickSource = next_click

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise InputError("start", expected=f"one of {', '.join(STARTS)}", got=f"'{self.start}'")
        if not 0 <= self.clicks <= 100:
            raise InputError("clicks", expected="0 to 100", got=self.clicks)
        if not 0 <= self.tolerance < math.inf:
            raise InputError("tolerance", expected="a distance of 0 or more", got=self.tolerance)
        metric_specs(self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for manifests."""
        return {
            "name": "clicks",
            "start": self.start,
            "clicks": self.clicks,
            "metrics": list(self.metrics),
            "tolerance": self.tolerance,
            "unit": self.unit,
            "seed": self.seed,
            **({"candidates": True} if self.candidates else {}),
        }

    def run(
        self, segmenter: Segmenter, target: TargetObject, buffer: NDArray[np.uint8], sampling: Sampling, key: object
    ) -> tuple[tuple[RoundScore, ...], Trace]:
        """Evaluate one object.

        Args:
            segmenter: Its image is set.
            target: The object to find in that image.
            buffer: All-zero mask of the image's shape; it holds the predictions and is all zero again afterwards.
            sampling: Sampling of the image.
            key: What the user's seed depends on besides the protocol's: set, case and object.
        """
        generator = stable_generator("clicks", self.seed, key)
        flat_boxes = segmenter.capabilities.flat_boxes
        occasion = Occasion(target.mask, target.region, buffer.shape, sampling.spacing, flat_boxes, generator)
        first = draw_starts(self.start, occasion)
        attempt = _ObjectAttempt(self, segmenter, target, buffer, sampling, generator, first)
        try:
            rounds = run_rounds(attempt, self.clicks)
        finally:
            attempt.clear()
        return rounds, attempt.trace()


class _ObjectAttempt:
    """A segmenter's predictions of one object, in a mask of the image of which only the touched part is read."""

    def __init__(
        self,
        protocol: ClicksProtocol,
        segmenter: Segmenter,
        target: TargetObject,
        buffer: NDArray[np.uint8],
        sampling: Sampling,
        generator: np.random.Generator,
        first: Sequence[Prompt],
    ) -> None:
        self._protocol = protocol
        self._segmenter = segmenter
        self._target = target
        self._buffer = buffer
        self._sampling = sampling
        self._generator = generator
        self._prompts = list(first)
        self._asked = 0
        self._masks: list[PackedMask] = []
        self._told: float | None = None
        self._touched = Region.empty(buffer.ndim)

    def predict(self) -> Timing:
        """Ask for the next mask, from all prompts so far and the mask before."""
        previous, fresh = self._buffer if self._asked else None, len(self._prompts) - self._asked
        new = self._prompts[self._asked :]
        self._asked = len(self._prompts)
        begin = time.perf_counter()
        first = previous is None and self._protocol.candidates and self._segmenter.capabilities.proposes
        if first and isinstance(self._segmenter, Proposing):
            shown, *others = self._segmenter.candidates(self._prompts)
            prediction = max([shown, *others], key=self._overlap)
            if prediction is not shown:
                # A pick is a mask that was given, as in a session.
                self._prompts.append(InitialMask.of_patch(prediction.mask, prediction.region, self._buffer.shape))
                self._asked += 1
        else:
            prediction = self._segmenter.predict(self._prompts, previous, fresh)
        seconds = time.perf_counter() - begin
        self._touched = self._touched.union(prediction.region)
        before = self._buffer[self._touched.slices].copy()
        prediction.paste(self._buffer)
        after = self._buffer[self._touched.slices]
        self._told = told_quality(prediction.quality, self._told, before, after, self._touched.start, new)
        return Timing(seconds, self._told)

    def _overlap(self, prediction: Prediction) -> float:
        """Return the DSC of a prediction, by which the user picks."""
        region = self._target.region.union(prediction.region)
        found = np.zeros(region.shape, dtype=np.bool_)
        found[prediction.region.shift([-s for s in region.start]).slices] = prediction.mask > 0
        truth = self._target.within(region)
        return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())

    def score(self) -> Mapping[str, float]:
        """Measure the mask in the region outside which both truth and prediction are empty."""
        truth, found, region = self._pair()
        self._masks.append(PackedMask.pack(found, region))
        return {name: METRICS.get(name).score(truth, found, self._sampling) for name in self._protocol.metrics}

    def correct(self, number: int) -> bool:  # noqa: ARG002
        """Return click where the mask is most wrong, where the segmenter takes clicks."""
        if "point" not in self._segmenter.capabilities.prompt_kinds:
            return False
        truth, found, region = self._pair()
        click = self._protocol.click_source(truth, found, self._generator)
        if click is not None:
            self._prompts.append(shift_prompt(click, region.start))
        return click is not None

    def _pair(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Region]:
        region = self._target.region.union(self._touched)
        return self._target.within(region), self._buffer[region.slices] != 0, region

    def trace(self) -> Trace:
        """Return the prompts with the first and the last mask."""
        return Trace(tuple(self._prompts), self._masks[0], self._masks[-1])

    def clear(self) -> None:
        """Make the buffer all zero again."""
        self._buffer[self._touched.slices] = 0
