"""A 2D segmenter on a volume: each prompt is answered on the slices that it lies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region, mask_region
from bedside.segment.protocol import Capabilities, Prediction, Segmenter
from bedside.segment.window import check_prompts, starting_mask


class PlaneSegmenter:
    """Takes images as they are and volumes slice by slice.

    The slices are cut across the axis of the largest spacing. A box is answered on every slice it holds, a point,
    scribble or lasso on the slices it touches. A slice that has a mask already and only a box keeps it, so that a
    correction costs one slice.

    Args:
        plane: The segmenter of a single plane.
        capabilities: What prompts it takes.
    """

    def __init__(self, plane: Segmenter, capabilities: Capabilities) -> None:
        self.name = plane.name
        self.capabilities = capabilities
        self._plane = plane
        self._image: Image | None = None
        self._axis = 0

    def set_image(self, image: Image) -> None:
        """Take an image or a volume."""
        self._image = image
        if image.ndim == 2:
            self._plane.set_image(image)
        else:
            self._axis = int(np.argmax(image.geometry.array_spacing))

    def predict(self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None) -> Prediction:
        """Answer the prompts; see ``protocol.Segmenter``."""
        if self._image is None or self._image.ndim == 2:
            return self._plane.predict(prompts, previous)
        placed = check_prompts(prompts, self._image, self.capabilities)
        before = starting_mask(placed, previous)
        by_slice = self._slices(placed, before)
        answers: list[tuple[int, Prediction]] = []
        seconds: dict[str, float] = {}
        for index, flat in sorted(by_slice.items()):
            self._plane.set_image(slice_image(self._image, self._axis, index))
            mask = np.take(before, index, axis=self._axis) if before is not None else None
            answer = self._plane.predict(flat, mask)
            answers.append((index, answer))
            for stage, value in answer.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + value
        return self._combine(answers, before, seconds)

    def _slices(self, prompts: Sequence[Prompt], before: NDArray[np.uint8] | None) -> dict[int, list[Prompt]]:
        """Prompts of each slice that must be asked, flattened to two dimensions."""
        assert self._image is not None
        depth = self._image.shape[self._axis]
        by_slice: dict[int, list[Prompt]] = {}
        for prompt in prompts:
            for index in range(depth):
                flat = flatten_prompt(prompt, self._axis, index)
                if flat is not None:
                    by_slice.setdefault(index, []).append(flat)
        asked = {}
        for index, flats in by_slice.items():
            has_mask = before is not None and bool(np.take(before, index, axis=self._axis).any())
            marked = any(not isinstance(p, Box) for p in flats)
            startable = has_mask or any(p.positive for p in flats)
            if startable and (marked or not has_mask):
                # A slice whose only positive evidence is its mask still needs one for the check of a prediction.
                asked[index] = (
                    flats if any(p.positive for p in flats) else [_mask_prompt(before, self._axis, index), *flats]
                )
        return asked

    def _combine(
        self, answers: list[tuple[int, Prediction]], before: NDArray[np.uint8] | None, seconds: dict[str, float]
    ) -> Prediction:
        assert self._image is not None
        shape = self._image.shape
        region = Region.empty(3)
        for index, answer in answers:
            start, stop = list(answer.region.start), list(answer.region.stop)
            start.insert(self._axis, index)
            stop.insert(self._axis, index + 1)
            region = region.union(Region(tuple(start), tuple(stop)))
        if not answers:
            empty = np.zeros((0, 0, 0), dtype=np.uint8)
            return Prediction(empty, region, np.zeros((0, 0), np.float32), (), Region.empty(3), seconds, 0)
        mask = np.zeros(region.shape, dtype=np.uint8) if before is None else before[region.slices].copy()
        for index, answer in answers:
            flat_start = [s for a, s in enumerate(region.start) if a != self._axis]
            target = np.moveaxis(mask, self._axis, 0)[index - region.start[self._axis]]
            target[answer.region.shift([-s for s in flat_start]).slices] = answer.mask
        old = np.zeros_like(mask) if before is None else before[region.slices]
        changed = mask_region(mask != old).shift(region.start)
        last_index, last = answers[-1]
        window = list(last.window)
        window.insert(self._axis, (float(last_index), float(last_index + 1)))
        passes = sum(answer.passes for _, answer in answers)
        del shape
        return Prediction(mask, region, last.logits, tuple(window), changed, seconds, passes)


def slice_image(image: Image, axis: int, index: int) -> Image:
    """Slice ``index`` across ``axis`` (array order) of a volume, as an image of its own."""
    kept = [s for a, s in enumerate(image.geometry.array_spacing) if a != axis]
    plane = np.take(image.array, index, axis=axis)
    spacing = tuple(kept[::-1]) if image.geometry.spacing_known else None
    return Image(plane, Geometry.create(plane.shape, spacing), modality=image.modality)


def flatten_prompt(prompt: Prompt, axis: int, index: int) -> Prompt | None:
    """The part of a 3D prompt (frame ``index``) on one slice, in two dimensions; None where it does not touch it."""
    drop = 2 - axis
    if isinstance(prompt, InitialMask):
        return None

    def flat(p: Sequence[float]) -> tuple[float, ...]:
        return tuple(c for a, c in enumerate(p) if a != drop)

    if isinstance(prompt, Box):
        if not prompt.low[drop] <= index < prompt.high[drop]:
            return None
        return replace(prompt, low=flat(prompt.low), high=flat(prompt.high))
    if isinstance(prompt, Point):
        return replace(prompt, position=flat(prompt.position)) if round(prompt.position[drop]) == index else None
    near = tuple(flat(p) for p in prompt.points if round(p[drop]) == index)
    if isinstance(prompt, Lasso):
        return replace(prompt, points=near) if len(near) >= 3 else None
    assert isinstance(prompt, Scribble)
    return replace(prompt, points=near) if near else None


def _mask_prompt(before: NDArray[np.uint8] | None, axis: int, index: int) -> InitialMask:
    assert before is not None
    return InitialMask(np.take(before, index, axis=axis) != 0)
