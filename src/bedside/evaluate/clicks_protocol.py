"""The clicks protocol: a first prompt on an object, then corrective clicks where the answer is most wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Point, Prompt
from bedside.core.region import Region
from bedside.data.objects import stable_generator
from bedside.engines.protocol import Segmenter
from bedside.evaluate.cases import TargetObject
from bedside.evaluate.metrics import DEFAULT_TOLERANCE, METRICS, Sampling, ToleranceUnit
from bedside.evaluate.results import PackedMask, RoundScore, Trace
from bedside.evaluate.starts import STARTS, Occasion, Start, draw_start
from bedside.simulate.clicks import next_click
from bedside.simulate.placing import shift_prompt

ClickSource = Callable[[NDArray[Any], NDArray[Any], np.random.Generator], Point | None]
"""``source(truth, prediction, generator)``: where to click next, None where nothing is wrong."""


@dataclass(frozen=True)
class ClicksProtocol:
    """A first prompt, then corrective clicks; prompts accumulate and the mask before is passed along.

    Attributes:
        start: First prompt: the object's tight box, a loose one, a click at its centre, a scribble through its middle,
            a lasso around it, or a mask of it with the faults of another tool. In a volume scribbles and lassos are
            drawn on one slice of any plane, and a flat box, which is all that some models take, is that of the largest
            slice across z.
        clicks: Corrective clicks, at most; a perfect answer needs no more and keeps its scores, and so does the first
            answer of a model that takes no clicks.
        metrics: Names in the registry.
        tolerance: Of surface metrics, in ``unit``.
        unit: See ``Sampling.of``.
        seed: Of the simulated user; every candidate meets the same user on the same object.
        click_source: Who clicks; by default at the centre of the largest connected error.
    """

    start: Start = "box"
    clicks: int = 5
    metrics: tuple[str, ...] = ("dsc", "nsd")
    tolerance: float = DEFAULT_TOLERANCE
    unit: ToleranceUnit = "auto"
    seed: int = 0
    click_source: ClickSource = next_click

    def __post_init__(self) -> None:
        if self.start not in STARTS:
            raise InputError("start", expected=f"one of {', '.join(STARTS)}", got=f"'{self.start}'")
        if not 0 <= self.clicks <= 100:
            raise InputError("clicks", expected="0 to 100", got=self.clicks)
        if not 0 <= self.tolerance < math.inf:
            raise InputError("tolerance", expected="a distance of 0 or more", got=self.tolerance)
        for name in self.metrics:
            METRICS.get(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for manifests."""
        return {
            "name": "clicks",
            "start": self.start,
            "clicks": self.clicks,
            "metrics": list(self.metrics),
            "tolerance": self.tolerance,
            "unit": self.unit,
            "seed": self.seed,
        }

    def run(
        self, segmenter: Segmenter, target: TargetObject, buffer: NDArray[np.uint8], sampling: Sampling, key: object
    ) -> tuple[tuple[RoundScore, ...], Trace]:
        """Evaluate one object.

        Args:
            segmenter: Its image is set.
            target: The object to find in that image.
            buffer: All-zero mask of the image's shape; it is used for the answers and is all zero again afterwards.
            sampling: Of the image.
            key: What the user's seed depends on besides the protocol's: set, case and object.
        """
        generator = stable_generator("clicks", self.seed, key)
        attempt = _Attempt(segmenter, target, buffer)
        flat_boxes = segmenter.capabilities.flat_boxes
        occasion = Occasion(target.mask, target.region, buffer.shape, sampling.spacing, flat_boxes, generator)
        prompts = [draw_start(self.start, occasion)]
        rounds: list[RoundScore] = []
        masks: list[PackedMask] = []
        try:
            for clicks in range(self.clicks + 1):
                seconds, quality = attempt.answer(prompts)
                region = attempt.region()
                truth, answer = target.within(region), buffer[region.slices] != 0
                scores = {name: METRICS.get(name)(truth, answer, sampling) for name in self.metrics}
                rounds.append(RoundScore(clicks, scores, seconds, quality))
                masks.append(PackedMask.pack(answer, region))
                more = clicks < self.clicks and "point" in segmenter.capabilities.prompt_kinds
                click = self.click_source(truth, answer, generator) if more else None
                if click is None:
                    break
                prompts.append(shift_prompt(click, region.start))
        finally:
            attempt.clear()
        rounds += [replace(rounds[-1], clicks=n, seconds=0.0) for n in range(len(rounds), self.clicks + 1)]
        return tuple(rounds), Trace(tuple(prompts), masks[0], masks[-1])


class _Attempt:
    """A segmenter's answers to one object, kept in a mask of the image of which only the touched part is read."""

    def __init__(self, segmenter: Segmenter, target: TargetObject, buffer: NDArray[np.uint8]) -> None:
        self._segmenter = segmenter
        self._target = target
        self._buffer = buffer
        self._touched = Region.empty(buffer.ndim)

    def answer(self, prompts: list[Prompt]) -> tuple[float, float | None]:
        """Ask for the next mask; seconds that the answer took, and the DSC that was estimated for it."""
        begin = time.perf_counter()
        prediction = self._segmenter.predict(prompts, self._buffer if len(prompts) > 1 else None)
        seconds = time.perf_counter() - begin
        prediction.paste(self._buffer)
        self._touched = self._touched.union(prediction.region)
        return seconds, prediction.quality

    def region(self) -> Region:
        """The region outside which both truth and answer are empty."""
        return self._target.region.union(self._touched)

    def clear(self) -> None:
        """Make the buffer all zero again."""
        self._buffer[self._touched.slices] = 0
