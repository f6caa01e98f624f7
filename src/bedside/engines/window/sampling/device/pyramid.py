"""Halved copies of images and label maps, from which windows of any scale are read with as few values as at full size.

An image is averaged. A label map cannot be: a cell of a halved map keeps its two most frequent values with the share of
the cell that each covers, so that the share of any object is exact wherever no more than two meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FULL = 255
"""Cover of a cell that one value fills."""
SMALLEST_SIDE = 8
"""Cells below which an axis is not halved any further."""
COARSEST = 64
"""Largest factor by which an axis is reduced."""

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """Values of a label map's cells and the share of the cell that each covers.

    Attributes:
        value: int32, 0 = background or nothing.
        cover: uint8, 0 to ``FULL``.
    """

    value: NDArray[np.int32]
    cover: NDArray[np.uint8]

    def packed(self) -> NDArray[np.int32]:
        """Return both in one whole number: value times 256 plus cover."""
        return (self.value << 8) | self.cover


def halving_steps(shape: tuple[int, ...], spacing: tuple[float, ...], kept: Axes = ()) -> list[tuple[int, ...]]:
    """Return factor of every axis at every level, from (1, ..., 1) on.

    Finer axes are halved first, so that cells become as near to cubes as halving allows.

    Args:
        shape: Shape of the image.
        spacing: Spacing of its voxels, in any unit.
        kept: Axes that stay as they are.
    """
    factors = [1] * len(shape)
    steps = [tuple(factors)]
    free = [a for a in range(len(shape)) if a not in kept]
    while True:
        able = [a for a in free if shape[a] / factors[a] >= 2 * SMALLEST_SIDE and factors[a] < COARSEST]
        if not able:
            return steps
        finest = min(spacing[a] * factors[a] for a in able)
        # Half as coarse again as the finest is not yet coarser by a whole step.
        halved = [a for a in able if spacing[a] * factors[a] < 1.5 * finest]
        for axis in halved:
            factors[axis] *= 2
        steps.append(tuple(factors))


def halve_image(image: NDArray[np.float32], axes: Axes) -> NDArray[np.float32]:
    """Return the mean of each two cells along ``axes``; a last cell without a partner stays as it is."""
    for axis in axes:
        first, second = _pair(image, axis)
        image = (first + second) / np.float32(2)
    return image


def _pair(array: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return even and odd cells along an axis."""
    if array.shape[axis] % 2:
        array = np.concatenate([array, np.take(array, [-1], axis=axis)], axis=axis)
    before = (slice(None),) * axis
    return array[(*before, slice(0, None, 2))], array[(*before, slice(1, None, 2))]


def halve_labels(entries: Sequence[Entry], axes: Axes) -> tuple[Entry, Entry]:
    """Return the two most frequent values of each cell of a halved map.

    Args:
        entries: Entries of the map to halve, the most frequent value first; one at full size.
        axes: Axes to halve.
    """
    values = [_children(entry.value, axes) for entry in entries]
    covers = [_children(entry.cover, axes) for entry in entries]
    flat_values = np.stack([child for group in values for child in group], axis=-1)
    flat_covers = np.stack([child for group in covers for child in group], axis=-1)
    children = len(values[0])
    first_value, first_cover = flat_values[..., 0].copy(), flat_covers[..., 0].copy()
    second_value, second_cover = np.zeros_like(first_value), np.zeros_like(first_cover)
    # Most cells lie within one object or none: the others alone are counted out.
    leading = slice(0, children)
    mixed = (flat_values[..., leading] != first_value[..., None]).any(axis=-1)
    mixed |= (flat_covers[..., leading] != FULL).any(axis=-1)
    ranked = _most_frequent(flat_values[mixed], flat_covers[mixed].astype(np.int32), children)
    first_value[mixed], first_cover[mixed], second_value[mixed], second_cover[mixed] = ranked
    return Entry(first_value, first_cover), Entry(second_value, second_cover)


def _children(array: NDArray[Any], axes: Axes) -> list[NDArray[Any]]:
    parts = [array]
    for axis in axes:
        parts = [half for part in parts for half in _pair(part, axis)]
    return parts


def _most_frequent(
    values: NDArray[np.int32], covers: NDArray[np.int32], children: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32], NDArray[np.uint8]]:
    """Return the two values (cells, candidates) that cover most of each cell, with their covers."""
    rows = np.arange(len(values))
    result: list[NDArray[Any]] = []
    for _ in range(2):
        totals = np.stack(
            [(covers * (values == values[:, c : c + 1])).sum(axis=1) for c in range(values.shape[1])], axis=1
        )
        best = totals.argmax(axis=1) if len(values) else rows
        value = values[rows, best]
        result += [value, ((totals[rows, best] + children // 2) // children).astype(np.uint8)]
        covers = np.where(values == value[:, None], 0, covers)
    return result[0], result[1], result[2], result[3]
