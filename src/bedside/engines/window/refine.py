"""Where to look again at a finer resolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.engines.window.policy import WindowPolicy
from bedside.imaging.window import Window

SMALLEST_GAIN = 1.4
"""Ratio of coarse to fine cells below which looking again is not worth a pass of the network."""


def refinement_windows(mask: NDArray[Any], coarse: Window, policy: WindowPolicy) -> Iterator[Window]:
    """Yield smaller windows that cover the border of a coarse mask, those with most of it first.

    The windows' cells are as large as one voxel where ``policy.refine_limit`` windows suffice for the whole border,
    and larger otherwise.

    Args:
        mask: The coarse mask, on the grid of its window.
        coarse: The window.
        policy: See ``WindowPolicy``.
    """
    cells = border_voxels(mask)
    if len(cells) == 0:
        return
    scale = np.array(coarse.scale)
    grid = np.array(coarse.grid)
    border = np.array(coarse.start) + (cells + 0.5) * scale
    divisor = float(scale.max())
    while divisor >= SMALLEST_GAIN:
        sides = grid * scale / divisor
        # A margin of half a cell at least: the border lies anywhere in its cells.
        reach = np.maximum(np.minimum(sides * 0.75, sides - scale), sides * 0.3)
        centres = cover(border, reach, policy.refine_limit)
        if centres is not None:
            for centre in centres:
                yield Window.centred(tuple(centre), tuple(sides), coarse.grid)
            return
        divisor /= 2


def border_voxels(mask: NDArray[Any]) -> NDArray[np.int64]:
    """Return indices (n, axes) of the mask's voxels that have a neighbour of the other kind along an axis."""
    inside = mask != 0
    border = np.zeros(mask.shape, dtype=bool)
    for axis in range(mask.ndim):
        step = np.diff(inside, axis=axis)
        before = tuple(slice(0, -1) if a == axis else slice(None) for a in range(mask.ndim))
        after = tuple(slice(1, None) if a == axis else slice(None) for a in range(mask.ndim))
        border[before] |= step
        border[after] |= step
    return np.argwhere(border & inside)


def thickness(mask: NDArray[Any]) -> float:
    """Return voxels of a mask for each voxel of its border: half the radius of a disc, half the width of a line; 0 of
    none.
    """
    border = len(border_voxels(mask))
    return float(np.count_nonzero(mask)) / border if border else 0.0


def cover(points: NDArray[Any], sides: NDArray[np.float64], limit: int) -> list[NDArray[np.float64]] | None:
    """Return centres of at most ``limit`` boxes of ``sides`` that hold all ``points``; None where more would be needed.

    Points are binned into a lattice of such boxes, and each box that holds any is moved to the middle of its points.
    """
    bins = np.floor((points - points.min(axis=0)) / sides).astype(np.int64)
    keys, member = np.unique(bins, axis=0, return_inverse=True)
    if len(keys) > limit:
        return None
    counts = np.bincount(member.ravel())
    order = np.argsort(-counts, kind="stable")
    centres = []
    for key in order:
        held = points[member.ravel() == key]
        centres.append((held.min(axis=0) + held.max(axis=0)) / 2)
    return centres
