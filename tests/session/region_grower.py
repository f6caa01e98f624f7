"""A deterministic segmenter for tests: the region of similar intensity around the prompts, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import PromptError
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Point, Prompt, place_prompt
from bedside.core.region import Region, changed_region
from bedside.engines.protocol import Capabilities, Prediction

TOLERANCE = 10.0


class RegionGrower:
    """Grows from positive points by intensity, keeps to the box, cuts a disc out around negative points.

    The answer depends on the previous mask too (it is joined in), so that a replay that forgot it would differ.
    """

    def __init__(self, name: str = "region-grower", tolerance: float = TOLERANCE) -> None:
        self.name = name
        self.tolerance = tolerance
        self.calls: list[int] = []
        self.fail = False
        self.capabilities = Capabilities(
            dimensions=(2, 3),
            prompt_kinds=frozenset({"box", "point", "scribble"}),
            negative_kinds=frozenset({"point", "scribble"}),
            colour=False,
            starts_from=frozenset({"box", "point", "scribble"}),
        )

    def set_image(self, image: Image) -> None:
        self.image = image
        self.grey = image.array.astype(np.float64)
        if image.is_colour:
            self.grey = self.grey.mean(axis=-1)

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        if self.fail:
            raise RuntimeError("the runtime failed")
        self.calls.append(len(prompts))
        shape = self.grey.shape
        before = np.zeros(shape, np.uint8) if previous is None else previous.copy()
        mask = before.astype(bool)
        for prompt in prompts:
            if isinstance(prompt, InitialMask):
                raise PromptError("no masks here")
            mask = self._apply(place_prompt(prompt, self.image.geometry), mask)
        after = mask.astype(np.uint8)
        region = changed_region(before, after)
        return Prediction(
            mask=after[region.slices].copy(),
            region=region,
            logits=np.zeros(shape, np.float32),
            window=tuple((0.0, float(n)) for n in shape),
            changed=region,
            seconds={"window": 0.25, "network": 0.5, "paste": 0.125},
        )

    def _apply(self, prompt: Any, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if isinstance(prompt, Box):
            low = [max(0, round(c)) for c in prompt.low[::-1]]
            high = [round(c) for c in prompt.high[::-1]]
            inside = np.zeros(mask.shape, bool)
            inside[Region(tuple(low), tuple(high)).clip(mask.shape).slices] = True
            centre = tuple(min((a + b) // 2, n - 1) for a, b, n in zip(low, high, mask.shape, strict=True))
            return mask | (self._grow(centre) & inside)
        points = [prompt.position] if isinstance(prompt, Point) else prompt.points
        for point in points:
            index = tuple(min(max(0, round(c)), n - 1) for c, n in zip(point[::-1], mask.shape, strict=True))
            mask = mask | self._grow(index) if prompt.positive else mask & ~self._disc(index)
        return mask

    def _grow(self, seed: tuple[int, ...]) -> NDArray[np.bool_]:
        labels, _ = ndimage.label(np.abs(self.grey - self.grey[seed]) <= self.tolerance)
        return np.asarray(labels == labels[seed])

    def _disc(self, centre: tuple[int, ...], radius: float = 4.0) -> NDArray[np.bool_]:
        grid = np.indices(self.grey.shape)
        offset = np.asarray(centre).reshape(-1, *(1,) * self.grey.ndim)
        return np.asarray(((grid - offset) ** 2).sum(axis=0) <= radius**2)
