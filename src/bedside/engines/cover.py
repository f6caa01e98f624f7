"""Which small boxes to look at again: those that hold most of what a coarse prediction changed, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.region import Region, mask_region

OPENING = 5
"""Voxels a side of what a change must hold to count."""
STEPS = 4
"""Places along each side of the change where a box is tried."""
HALVINGS = 3


def opened(changed: NDArray[Any], size: int = OPENING) -> NDArray[np.bool_]:
    """Return ``changed`` without what holds no cube of ``size`` voxels a side; beyond the array everything counts as
    changed.

    Returns:
        bool of the same shape.
    """
    result = np.zeros(changed.shape, dtype=bool)
    region = mask_region(changed)
    if region.is_empty:
        return result
    # The margin holds what the filters look at; where the array ends, the nearest value stands for nothing beyond it.
    grown = Region(tuple(a - size for a in region.start), tuple(b + size for b in region.stop)).clip(changed.shape)
    part = (changed[grown.slices] != 0).astype(np.uint8)
    part = ndimage.minimum_filter(part, size, mode="nearest")
    result[grown.slices] = ndimage.maximum_filter(part, size, mode="nearest")
    return result


def greedy_cover(changed: NDArray[Any], side: Sequence[int], margin: Sequence[int]) -> list[tuple[int, ...]]:
    """Return middle voxels of boxes that together hold every changed voxel, each the best of its time.

    Boxes are tried on a lattice over the extent of what is left and flush with its ends, and count what they hold
    without a margin, where a prediction sees too little around. Where no place of the lattice holds anything, the
    lattice is made finer.

    Args:
        changed: Non-zero where changed.
        side: Voxels along each side of a box.
        margin: Voxels at each face of a box that do not count; less than half of the side.
    """
    left = np.array(changed != 0)
    inner = [s - 2 * m for s, m in zip(side, margin, strict=True)]
    centres: list[tuple[int, ...]] = []
    while not (region := mask_region(left)).is_empty:
        centre = _best_centre(left, region, inner)
        centres.append(centre)
        left[_box(centre, inner).clip(left.shape).slices] = False
    return centres


def _best_centre(left: NDArray[np.bool_], region: Region, inner: Sequence[int]) -> tuple[int, ...]:
    total = np.count_nonzero(left[region.slices])
    for halving in range(HALVINGS + 1):
        axes = [
            _places(a, b, max(1, round((b - a) / STEPS / 2**halving)), side)
            for a, b, side in zip(region.start, region.stop, inner, strict=True)
        ]
        counts = _counts(left, axes, inner)
        if counts.any():
            best = np.argwhere(counts == counts.max())
            places = np.stack([axis[index] for axis, index in zip(axes, best.T, strict=True)], axis=1)
            if counts.max() < total:
                # Boxes side by side from one corner leave no slivers, as one in the middle would.
                return tuple(map(int, places[0]))
            # Of places that hold all that is left, the one nearest to its middle sees most of the surroundings.
            middle = (np.array(region.start) + np.array(region.stop) - 1) / 2
            return tuple(map(int, places[np.square(places - middle).sum(axis=1).argmin()]))
    # A change that is long against the box and far from every place of the lattice: its first voxel.
    return tuple(map(int, np.argwhere(left)[0]))


def _places(start: int, stop: int, step: int, side: int) -> NDArray[np.int64]:
    """Return middles of boxes along one axis: on a lattice, and where a box begins or ends with what is left."""
    places = np.arange(start, stop, step)
    flush = np.array([start + side // 2, stop - side + side // 2])
    return np.union1d(places, flush[(flush >= start) & (flush < stop)])


def _counts(left: NDArray[np.bool_], axes: Sequence[NDArray[np.int64]], inner: Sequence[int]) -> NDArray[np.int64]:
    """Return voxels of ``left`` in the box around every place of a lattice."""
    counts: NDArray[Any] = left
    for axis, places in enumerate(axes):
        sums = []
        for place in places:
            start = place - inner[axis] // 2
            run = slice(max(0, start), max(0, start + inner[axis]))
            cut = (*(slice(None),) * axis, run)
            sums.append(counts[cut].sum(axis=axis, dtype=np.int64))
        counts = np.stack(sums, axis=axis)
    return counts


def _box(centre: Sequence[int], side: Sequence[int]) -> Region:
    start = tuple(c - s // 2 for c, s in zip(centre, side, strict=True))
    return Region(start, tuple(a + s for a, s in zip(start, side, strict=True)))
