"""Prompts as the public code of the dynamic-prompt method paints them (arXiv 2510.03189).

Clicks are solid balls measured in cells of the grid, however many voxels a cell holds; they have the value 1, never
fade, and all of them stay. A box leaves out its last voxel on every axis, so that one of a single slice marks nothing,
and is read at the middle of each cell.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside.core.region import Region
from bedside.imaging.window import Window

RADIUS = 4
"""A ball holds the cells that are nearer than this to its own."""


@functools.cache
def solid_ball() -> NDArray[np.bool_]:
    """Return the cells of a click, (7, 7, 7)."""
    offsets = np.arange(1 - RADIUS, RADIUS) ** 2
    ball: NDArray[np.bool_] = offsets[:, None, None] + offsets[:, None] + offsets < RADIUS**2
    ball.flags.writeable = False
    return ball


def clicked_cell(position: Sequence[float], window: Window) -> tuple[int, ...]:
    """Return the cell of the window's grid in which the middle of a voxel lies; it may lie beyond the grid.

    Args:
        position: Voxel, array order, as ``window`` counts them.
        window: Its grid.
    """
    places = zip(position, window.start, window.scale, strict=True)
    return tuple(int(np.floor((p + 0.5 - start) / scale)) for p, start, scale in places)


def ball_on_grid(cell: Sequence[int], grid: Sequence[int]) -> tuple[Region, NDArray[np.bool_]]:
    """Return the part of a click's ball that lies on the grid: the cells, and which of them it holds."""
    reach = RADIUS - 1
    ball = Region(tuple(c - reach for c in cell), tuple(c + reach + 1 for c in cell))
    held = ball.intersection(Region.whole(tuple(grid)))
    if held.is_empty:
        return Region.empty(len(grid)), np.zeros((0,) * len(grid), dtype=np.bool_)
    return held, solid_ball()[held.shift([-s for s in ball.start]).slices]


def short_profiles(box: Region, window: Window) -> NDArray[np.float32]:
    """Return a half-open box without its last voxels on the grid, as one profile an axis of 0 and 1, float32 (axes,
    cells).
    """
    profiles = []
    axes = zip(box.start, box.stop, window.start, window.scale, window.grid, strict=True)
    for first, stop, start, scale, cells in axes:
        voxels = np.floor(start + (np.arange(cells) + 0.5) * scale)
        profiles.append((voxels >= first) & (voxels < stop - 1))
    return np.stack(profiles).astype(np.float32)
