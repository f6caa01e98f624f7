"""What the baselines share: the window around the prompts, its grid of bounded size, and the prompts painted on it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Box, Point, Prompt, Scribble, place_prompt
from bedside.core.region import Region, changed_region
from bedside.engines.protocol import Capabilities, Prediction

WINDOW_FACTOR = 2.0
"""Side of the window in sides of the box."""
LONGEST_SIDE = {2: 128, 3: 48}
"""Samples of the window's grid along its longest side, by number of axes: more would take seconds per prediction."""
SEED_RADIUS = 1.5
"""Radius of a click in samples of the grid."""
BACKGROUND, FOREGROUND, UNKNOWN = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Grid:
    """The window as a baseline works on it.

    Attributes:
        samples: float32 (y, x, channel) or (z, y, x, channel), about 0 to 1.
        seeds: uint8, BACKGROUND, FOREGROUND or UNKNOWN for each sample, from box and clicks.
        clicked: bool, samples that a click or scribble fixes.
        boxed: Whether a box says where the object ends.
        spacing: Distance between samples along each axis, the finest being 1.
    """

    samples: NDArray[np.float32]
    seeds: NDArray[np.uint8]
    clicked: NDArray[np.bool_]
    boxed: bool
    spacing: tuple[float, ...]


class WindowBaseline:
    """A segmenter that decides within a window around the prompts; subclasses say how, in ``probability``."""

    name = "window"
    capabilities = Capabilities(
        dimensions=(2, 3),
        prompt_kinds=frozenset({"box", "point", "scribble"}),
        negative_kinds=frozenset({"point", "scribble"}),
        colour=True,
        starts_from=frozenset({"box", "point", "scribble"}),
    )

    def __init__(self) -> None:
        self._image: Image | None = None

    def set_image(self, image: Image) -> None:
        """Prompts that follow refer to ``image``."""
        self._image = image

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Decide again from all prompts; ``previous`` only serves to say what changed."""
        del fresh
        begin = time.perf_counter()
        if self._image is None:
            raise PromptError("prompt", expected="an image to be set first")
        placed = place_all(prompts, self._image.geometry)
        box = positive_box(placed, self._image.shape)
        window = window_around(box, placed, self._image.shape)
        grid = make_grid(self._image, window, box, placed)
        prepared = time.perf_counter()
        probability = self.probability(grid).astype(np.float32)
        decided = time.perf_counter()
        mask = (resize(probability, window.shape) > 0.5).astype(np.uint8)
        clipped = np.clip(probability, 1e-4, 1 - 1e-4)
        seconds = {"window": prepared - begin, "network": decided - prepared, "paste": time.perf_counter() - decided}
        return make_prediction(mask, window, np.log(clipped / (1 - clipped)), previous, seconds)

    def probability(self, grid: Grid) -> NDArray[np.floating[Any]]:
        """Return how likely each sample is the object, 0 to 1, of ``grid.seeds``'s shape."""
        raise NotImplementedError


def place_all(prompts: Sequence[Prompt], geometry: Geometry) -> list[Prompt]:
    """Return the prompts in the frame ``index``.

    Raises:
        PromptError: There is none, one lies outside, or one is of a kind that baselines do not take.
    """
    placed = [place_prompt(p, geometry) for p in prompts]
    for prompt in placed:
        if not isinstance(prompt, Box | Point | Scribble):
            raise PromptError("baseline", expected="boxes, points and scribbles", got=prompt.kind)
    if not placed:
        raise PromptError("baseline", expected="at least one prompt", got="none")
    return placed


def positive_box(prompts: Sequence[Prompt], shape: Sequence[int]) -> Region | None:
    """Return the voxels in any positive box, as one region; None where there is no box."""
    region = Region.empty(len(shape))
    for prompt in prompts:
        if isinstance(prompt, Box) and prompt.positive:
            low, high = (tuple(math.ceil(v) for v in corner[::-1]) for corner in (prompt.low, prompt.high))
            region = region.union(Region(low, high).clip(shape))
    return None if region.is_empty else region


def window_around(box: Region | None, prompts: Sequence[Prompt], shape: Sequence[int]) -> Region:
    """Twice the box and every click; the whole image where no box says how large the object is."""
    if box is None:
        return Region.whole(shape)
    margin = [max(4, math.ceil(n * (WINDOW_FACTOR - 1) / 2)) for n in box.shape]
    start = [a - m for a, m in zip(box.start, margin, strict=True)]
    stop = [b + m for b, m in zip(box.stop, margin, strict=True)]
    for prompt in prompts:
        if not isinstance(prompt, Box):
            vertices = prompt.vertices()[:, ::-1]
            start = [min(a, math.floor(v)) for a, v in zip(start, vertices.min(axis=0), strict=True)]
            stop = [max(b, math.ceil(v) + 1) for b, v in zip(stop, vertices.max(axis=0), strict=True)]
    return Region(tuple(start), tuple(stop)).clip(shape)


def make_grid(image: Image, window: Region, box: Region | None, prompts: Sequence[Prompt]) -> Grid:
    """Sample the window and paint box and clicks on it; later clicks overrule earlier ones and the box."""
    crop = image.array[window.slices]
    longest = max(window.shape)
    shape = tuple(max(1, round(n * min(1.0, LONGEST_SIDE[len(window.shape)] / longest))) for n in window.shape)
    channels = np.moveaxis(crop, -1, 0) if image.is_colour else crop[None]
    samples = np.stack([resize(c.astype(np.float32), shape) for c in channels], axis=-1)
    low, high = np.percentile(samples, (0.5, 99.5))
    samples = np.clip((samples - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)

    step = np.array(window.shape) / np.array(shape)
    seeds = np.full(shape, UNKNOWN, dtype=np.uint8)
    clicked = np.zeros(shape, dtype=np.bool_)
    if box is not None:
        seeds[:] = BACKGROUND
        low_corner = np.floor((np.array(box.start) - window.start) / step).astype(int)
        high_corner = np.ceil((np.array(box.stop) - window.start) / step).astype(int)
        seeds[tuple(slice(a, b) for a, b in zip(low_corner, high_corner, strict=True))] = UNKNOWN
    for prompt in prompts:
        if not isinstance(prompt, Box):
            places = (_trace(prompt)[:, ::-1] - window.start + 0.5) / step - 0.5
            here = _discs(places, shape)
            seeds[here] = FOREGROUND if prompt.positive else BACKGROUND
            clicked |= here
    spacing = np.array(image.geometry.array_spacing) * step
    return Grid(samples, seeds, clicked, box is not None, tuple(float(s) for s in spacing / spacing.min()))


def _trace(prompt: Prompt) -> NDArray[np.float64]:
    """Return positions along a prompt, one voxel apart at most, (n, axes) in (x, y, z) order."""
    vertices = prompt.vertices()
    if not (isinstance(prompt, Scribble) and prompt.connected and len(vertices) > 1):
        return vertices
    pieces = [np.linspace(a, b, int(np.abs(b - a).max()) + 2) for a, b in pairwise(vertices)]
    return np.concatenate(pieces)


def _discs(places: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return samples within a click's radius of ``places`` (n, axes)."""
    result = np.zeros(tuple(shape), dtype=np.bool_)
    for place in places:
        start = np.maximum(0, np.floor(place - SEED_RADIUS).astype(int))
        stop = np.minimum(shape, np.ceil(place + SEED_RADIUS).astype(int) + 1)
        axes = [np.arange(a, b) - p for a, b, p in zip(start, stop, place, strict=True)]
        square = sum(np.square(axis) for axis in np.ix_(*axes))
        result[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] |= square <= SEED_RADIUS**2
    return result


def resize(array: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return linear interpolation onto ``shape``, blurred first where that is coarser; outer faces stay where they
    are.
    """
    if array.shape == tuple(shape):
        return array
    step = [n / m for n, m in zip(array.shape, shape, strict=True)]
    blur = [0.35 * s if s > 1 else 0.0 for s in step]
    smooth = ndimage.gaussian_filter(array, blur, mode="nearest") if any(blur) else array
    places = [np.clip((np.arange(m) + 0.5) * s - 0.5, 0, None) for m, s in zip(shape, step, strict=True)]
    result = smooth
    for axis, place in enumerate(places):
        # One axis after another: linear interpolation is separable, and this is far cheaper than a general one.
        before = np.minimum(place.astype(int), result.shape[axis] - 1)
        after = np.minimum(before + 1, result.shape[axis] - 1)
        part = (place - before).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(result.ndim)])
        result = result.take(before, axis) * (1 - part) + result.take(after, axis) * part
    return result.astype(np.float32)


def make_prediction(
    mask: NDArray[np.uint8],
    window: Region,
    logits: NDArray[np.float32],
    previous: NDArray[np.uint8] | None,
    seconds: dict[str, float],
) -> Prediction:
    """Return a prediction whose ``changed`` is found within the window alone: nothing outside it is touched."""
    before = previous[window.slices] if previous is not None else np.zeros_like(mask)
    changed = changed_region(before != 0, mask != 0)
    if not changed.is_empty:
        changed = changed.shift(window.start)
    extent = tuple((a - 0.5, b - 0.5) for a, b in zip(window.start, window.stop, strict=True))
    return Prediction(mask, window, logits, extent, changed, seconds)
