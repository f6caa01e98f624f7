"""Carrying a mask along slices by a network of planes: the mask of one slice is the prompt of the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Point, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.planes import slice_image
from bedside.engines.protocol import Segmenter

Reason = Literal["end", "empty", "quality", "overlap"]
"""Why no slice was asked further: the last one wanted, nothing left, or estimated quality or overlap fell."""

BINS = 32
BLUR = 1.0
"""Standard deviation in pixels over which samples and their evidence are averaged."""
LEAST_EVIDENCE = 0.0
"""Logarithm of how much likelier a pixel looks to be the object than its surroundings, below which it is left out."""


@dataclass(frozen=True)
class Limits:
    """When to stop.

    Attributes:
        quality: Estimated DSC of a slice's mask below which it is not taken.
        overlap: Intersection over union of the masks of neighbouring slices below which the latter is not taken.
    """

    quality: float = 0.5
    overlap: float = 0.3


@dataclass
class Carried:
    """What became of a mask that was carried along.

    Attributes:
        masks: uint8 0/1 of the slices that were taken, without the one that it began with.
        low: Why it stopped towards the first slice.
        high: Why it stopped towards the last.
    """

    masks: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    low: Reason = "end"
    high: Reason = "end"


class Look:
    """How an object looks on the slice that was drawn, against what lies around it there.

    A network that follows a mask from slice to slice goes over to what lies in its place when the object ends. So
    a pixel belongs to the mask only where its grey value is likelier inside the drawn mask than around it.

    Args:
        plane: The drawn slice, (y, x) or (y, x, 3).
        mask: Its mask, with at least one pixel.
    """

    def __init__(self, plane: NDArray[Any], mask: NDArray[np.uint8]) -> None:
        grey = _grey(plane)
        region = mask_region(mask)
        room = max(4, max(region.shape) // 2)
        around = Region(tuple(a - room for a in region.start), tuple(b + room for b in region.stop)).clip(mask.shape)
        inside, values = mask[around.slices] > 0, grey[around.slices]
        self._edges = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
        self._evidence = np.log(self._shares(values[inside]) / self._shares(values[~inside]))

    def _shares(self, values: NDArray[Any]) -> NDArray[np.float64]:
        # One more in each, so that a value that was not seen is no proof.
        counts = np.bincount(np.searchsorted(self._edges, values), minlength=BINS) + 1.0
        smooth = ndimage.gaussian_filter1d(counts, 1.0, mode="nearest")
        return np.asarray(smooth / smooth.sum())

    def evidence(self, plane: NDArray[Any]) -> NDArray[np.float64]:
        """Return for each pixel of another slice the logarithm of how much likelier it looks to be the object."""
        found = self._evidence[np.searchsorted(self._edges, _grey(plane))]
        return np.asarray(ndimage.gaussian_filter(found, BLUR))


def _grey(plane: NDArray[Any]) -> NDArray[np.float32]:
    grey = plane.astype(np.float32).mean(axis=-1) if plane.ndim == 3 else plane.astype(np.float32)
    return np.asarray(ndimage.gaussian_filter(np.nan_to_num(grey), BLUR))


def carry(
    segmenter: Segmenter,
    image: Image,
    mask: NDArray[np.uint8],
    start: int,
    *,
    axis: int = 0,
    first: int = 0,
    last: int | None = None,
    limits: Limits | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Carried:
    """Carry the mask of one slice to its neighbours on both sides.

    Args:
        segmenter: Takes images of two dimensions; its image is another one afterwards.
        image: A volume, of space or of time.
        mask: uint8 0/1 of the slice, with at least one pixel.
        start: The slice.
        axis: Across which the slices lie, in array order.
        first: No slice before it is asked.
        last: No slice after it is asked; None for the last.
        limits: When to stop.
        report: Called with the number of each slice that was asked; what it raises ends the carrying.
    """
    bounds = limits or Limits()
    found = Carried()
    look = Look(slice_image(image, axis, start).array, mask)
    end = image.shape[axis] - 1 if last is None else last
    for step, goal in ((-1, first), (1, end)):
        before = mask
        reason: Reason = "end"
        for index in range(start + step, goal + step, step):
            plane = slice_image(image, axis, index)
            following, quality = _follow(segmenter, plane, before, look)
            report(index)
            reason = _reason(before, following, quality, bounds)
            if reason != "end":
                break
            found.masks[index] = before = following
        if step < 0:
            found.low = reason
        else:
            found.high = reason
    return found


def _follow(
    segmenter: Segmenter, plane: Image, before: NDArray[np.uint8], look: Look
) -> tuple[NDArray[np.uint8], float | None]:
    """Return the mask of a slice from that of its neighbour, and its estimated DSC."""
    segmenter.set_image(plane)
    prompts = _prompts(segmenter, before)
    prediction = segmenter.predict(prompts, before, len(prompts))
    mask = before.copy()
    prediction.paste(mask)
    likely = (mask > 0) & (look.evidence(plane.array) > LEAST_EVIDENCE)
    return likely.astype(np.uint8), prediction.quality


def _prompts(segmenter: Segmenter, mask: NDArray[np.uint8]) -> list[Prompt]:
    """Return what says where the object was: its mask and a click deepest inside it, as far as the model takes them."""
    kinds = segmenter.capabilities.starts_from
    # As a prompt of its own the mask has the model look at all of it, and not at what is around the click.
    found: list[Prompt] = [InitialMask(mask)] if InitialMask.kind in kinds else []
    if Point.kind in kinds:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        found.append(Point((float(x), float(y))))
    elif not found:
        region = mask_region(mask)
        found.append(Box(tuple(map(float, region.start[::-1])), tuple(map(float, region.stop[::-1]))))
    return found


def _reason(before: NDArray[np.uint8], following: NDArray[np.uint8], quality: float | None, limits: Limits) -> Reason:
    if not following.any():
        return "empty"
    if quality is not None and quality < limits.quality:
        return "quality"
    both, either = np.count_nonzero(before & following), np.count_nonzero(before | following)
    return "overlap" if both < limits.overlap * either else "end"
