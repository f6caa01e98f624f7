"""A 2D segmenter on a volume: each prompt is predicted on the slices that it lies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, Coordinates, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region, mask_region
from bedside.engines.placed import check_prompts, starting_mask
from bedside.engines.protocol import MOST_CANDIDATES, Capabilities, Prediction, Proposing, Segmenter, Suggesting

T = TypeVar("T")


class PlaneSegmenter:
    """Takes images as they are and volumes slice by slice.

    The slices are cut across the axis of the largest spacing. A prompt is predicted on every slice that it touches, and
    once there is a mask only the slices of the newest prompts are asked again: a correction costs one slice and leaves
    the others alone.

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

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Predict the prompts; see ``protocol.Segmenter``."""
        if self._image is None or self._image.ndim == 2:
            return self._plane.predict(prompts, previous, fresh)
        placed = check_prompts(prompts, self._image, self.capabilities)
        before = starting_mask(placed, previous)
        answers: list[tuple[int, Prediction]] = []
        for index, flat, newest in self._asked(placed, before, fresh):
            self._plane.set_image(slice_image(self._image, self._axis, index))
            mask = np.take(before, index, axis=self._axis) if before is not None else None
            answers.append((index, self._plane.predict(flat, mask, newest)))
        # An initial mask that nothing corrects is the prediction, though it was not the mask before.
        shown = previous if previous is not None and previous.any() else None
        return self._combine(answers, before, shown)

    def suggest(self, prompts: Sequence[Prompt], mask: NDArray[np.uint8]) -> Point | None:
        """Return where a click would help most; see ``protocol.Suggesting``. In a volume, on the slices of the prompts.

        Raises:
            InputError: The segmenter of planes does not say.
        """
        if not isinstance(self._plane, Suggesting):
            raise InputError(f"model '{self.name}'", expected="one that suggests clicks", got="one that does not")
        if self._image is None or self._image.ndim == 2:
            return self._plane.suggest(prompts, mask)
        placed = check_prompts(prompts, self._image, self.capabilities)
        for index, flat, _ in reversed(self._asked(placed, mask, len(placed))):
            self._plane.set_image(slice_image(self._image, self._axis, index))
            click = self._plane.suggest(flat, np.ascontiguousarray(np.take(mask, index, axis=self._axis)))
            if click is not None:
                return replace(click, position=insert(click.position, 2 - self._axis, float(index)))
        return None

    def candidates(self, prompts: Sequence[Prompt], limit: int = MOST_CANDIDATES) -> list[Prediction]:
        """Return what the first prompts may mean; see ``protocol.Proposing``.

        In a volume they are what prompts on one slice may mean.

        Raises:
            InputError: The segmenter of planes does not say.
        """
        if not isinstance(self._plane, Proposing):
            raise InputError(f"model '{self.name}'", expected="one that proposes masks", got="one that does not")
        if self._image is None or self._image.ndim == 2:
            return self._plane.candidates(prompts, limit)
        placed = check_prompts(prompts, self._image, self.capabilities)
        asked = self._asked(placed, starting_mask(placed, None), len(placed))
        if len(asked) != 1:
            return [self.predict(placed)]
        index, flat, _ = asked[0]
        self._plane.set_image(slice_image(self._image, self._axis, index))
        return [self._combine([(index, found)], None, None) for found in self._plane.candidates(flat, limit)]

    def _asked(
        self, prompts: Sequence[Prompt], before: NDArray[np.uint8] | None, fresh: int
    ) -> list[tuple[int, list[Prompt], int]]:
        """Return the slices to ask, in order, each with its prompts in two dimensions and how many of them are new."""
        assert self._image is not None
        depth = self._image.shape[self._axis]
        newest = prompts if before is None else prompts[max(0, len(prompts) - fresh) :]
        indices = sorted({i for prompt in newest for i in touched_slices(prompt, self._axis, depth)})
        asked = []
        for index in indices:
            mask = np.take(before, index, axis=self._axis) if before is not None else None
            given = max((n + 1 for n, p in enumerate(prompts) if isinstance(p, InitialMask)), default=0)
            older, newer = (
                flatten_prompts(part, self._axis, index, depth) for part in (prompts[:given], prompts[given:])
            )
            flats = [*older, *newer]
            if mask is not None and mask.any() and not any(p.positive for p in newer):
                # The slice's mask is positive evidence of its own, where the prompts on it are negative ones. It stands
                # where a mask was given, because prompts before that have had their say.
                flats = [*older, InitialMask(mask != 0), *newer]
            if any(p.positive for p in flats):
                asked.append((index, flats, len(flatten_prompts(newest, self._axis, index, depth))))
        return asked

    def _combine(
        self,
        answers: list[tuple[int, Prediction]],
        before: NDArray[np.uint8] | None,
        shown: NDArray[np.uint8] | None,
    ) -> Prediction:
        """Return one prediction for the volume from those of its slices.

        Args:
            answers: Slices and their predictions.
            before: The mask that was started from.
            shown: The mask that the caller knows, from which the change is counted.
        """
        region = Region.empty(3) if before is None or shown is not None else mask_region(before)
        for index, answer in answers:
            region = region.union(
                Region(
                    insert(answer.region.start, self._axis, index), insert(answer.region.stop, self._axis, index + 1)
                )
            )
        mask = np.zeros(region.shape, dtype=np.uint8) if before is None else before[region.slices].copy()
        offset = tuple(-s for a, s in enumerate(region.start) if a != self._axis)
        for index, answer in answers:
            if not answer.region.is_empty:
                target = np.moveaxis(mask, self._axis, 0)[index - region.start[self._axis]]
                target[answer.region.shift(offset).slices] = answer.mask
        old = np.zeros_like(mask) if shown is None else shown[region.slices]
        seconds: dict[str, float] = {}
        for _, answer in answers:
            for stage, value in answer.seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + value
        changed = mask_region(mask != old).shift(region.start)
        passes = sum(answer.passes for _, answer in answers)
        if not answers:
            return Prediction(mask, region, np.zeros((0, 0), np.float32), (), changed, seconds, 0)
        index, last = answers[-1]
        window = insert(last.window, self._axis, (float(index), float(index + 1)))
        return Prediction(mask, region, last.logits, window, changed, seconds, passes)


def insert(values: tuple[T, ...], axis: int, value: T) -> tuple[T, ...]:
    """Return ``values`` with ``value`` put in at ``axis``."""
    return (*values[:axis], value, *values[axis:])


def slice_image(image: Image, axis: int, index: int) -> Image:
    """Return slice ``index`` across ``axis`` (array order) of a volume, as an image of its own."""
    kept = [s for a, s in enumerate(image.geometry.array_spacing) if a != axis]
    plane = np.take(image.array, index, axis=axis)
    spacing = tuple(kept[::-1]) if image.geometry.spacing_known else None
    return Image(plane, Geometry.create(plane.shape, spacing), modality=image.modality)


def touched_slices(prompt: Prompt, axis: int, depth: int) -> range | list[int]:
    """Return slices across ``axis`` (array order) that a 3D prompt in the frame ``index`` lies on.

    A box lies on the slices whose centres are between its faces, or on the nearest one where it is thinner than that;
    a stroke on all that it passes through.
    """
    drop = 2 - axis
    if isinstance(prompt, InitialMask):
        return []
    if isinstance(prompt, Box):
        low, high = prompt.low[drop] - 0.5, prompt.high[drop] - 0.5
        first, last = int(np.ceil(low)), int(np.ceil(high))
        if first >= last:
            first = round((low + high) / 2)
            last = first + 1
        return range(max(0, first), min(depth, last))
    heights = prompt.vertices()[:, drop]
    if isinstance(prompt, Scribble) and prompt.connected:
        return range(max(0, nearest(heights.min())), min(depth, nearest(heights.max()) + 1))
    return sorted({nearest(h) for h in heights if 0 <= nearest(h) < depth})


def nearest(height: float) -> int:
    """Return the slice that a height lies on; one half way between two lies on the upper, as voxels are half open."""
    return int(np.floor(height + 0.5))


def flatten_prompt(prompt: Prompt, axis: int, index: int, depth: int | None = None) -> Prompt | None:
    """Return the part of a 3D prompt (frame ``index``) on one slice, in two dimensions; None where it does not touch
    it.

    Args:
        prompt: The prompt.
        axis: Axis (array order) across which the slices lie.
        index: The slice.
        depth: Number of slices, where the prompt may reach beyond them.
    """
    drop = 2 - axis
    if index not in touched_slices(prompt, axis, index + 1 if depth is None else depth):
        return None

    def flat(p: Sequence[float]) -> Coordinates:
        return tuple(c for a, c in enumerate(p) if a != drop)

    if isinstance(prompt, Box):
        return replace(prompt, low=flat(prompt.low), high=flat(prompt.high))
    if isinstance(prompt, Point):
        return replace(prompt, position=flat(prompt.position))
    assert isinstance(prompt, Scribble | Lasso)
    if isinstance(prompt, Lasso):
        outline = tuple(flat(p) for p in prompt.points if nearest(p[drop]) == index)
        return replace(prompt, points=outline) if len(outline) >= 3 else None
    stroke = tuple(flat(p) for p in _stroke_on_slice(prompt, drop, index))
    return replace(prompt, points=stroke) if stroke else None


def flatten_prompts(prompts: Sequence[Prompt], axis: int, index: int, depth: int) -> list[Prompt]:
    """Return the parts of prompts that lie on one slice; see ``flatten_prompt``."""
    return [f for p in prompts if (f := flatten_prompt(p, axis, index, depth)) is not None]


def _stroke_on_slice(scribble: Scribble, drop: int, index: int) -> list[Coordinates]:
    """Return vertices of a stroke on a slice, with the points at which its segments enter and leave it."""
    points = scribble.points
    if not scribble.connected or len(points) == 1:
        return [p for p in points if nearest(p[drop]) == index]
    kept: list[Coordinates] = []
    for start, stop in pairwise(points):
        rise = stop[drop] - start[drop]
        if rise == 0:
            shares: tuple[float, ...] = (0.0, 1.0) if nearest(start[drop]) == index else ()
        else:
            # Where the segment crosses the slice's two faces, cut to the segment itself.
            faces = sorted(((index - 0.5 - start[drop]) / rise, (index + 0.5 - start[drop]) / rise))
            low, high = max(0.0, faces[0]), min(1.0, faces[1])
            shares = (low, high) if low < high else ()
        for share in shares:
            point = tuple(a + share * (b - a) for a, b in zip(start, stop, strict=True))
            if not kept or kept[-1] != point:
                kept.append(point)
    return kept
