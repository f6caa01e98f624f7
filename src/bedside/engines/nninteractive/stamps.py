"""Single prompts as nnInteractive's grid shows them, without painting a whole window; see ``cube.sample_prompts``.

Training paints one click after another, and a window of 768 voxels for a ball of nine would be slow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.region import Region
from bedside.engines.nninteractive.channels import click_ball
from bedside.engines.nninteractive.cube import area_weights, cube_region, dilation_kernel
from bedside.imaging.resample import apply_matrices
from bedside.imaging.window import Window


def click_stamp(position: Sequence[int], window: Window, radius: int) -> tuple[Region, NDArray[np.float32]]:
    """Return the values of a click on the cells of the window's grid that it touches.

    Args:
        position: Voxel of the image, array order.
        window: Whole voxels; its grid is no finer than they are.
        radius: Radius of the click in voxels.

    Returns:
        The cells, and float32 values of their shape, 1 in the middle where a cell is a voxel; empty where no voxel of
        the click lies within the window.
    """
    region = cube_region(window)
    ball = Region(tuple(p - radius for p in position), tuple(p + radius + 1 for p in position))
    held = ball.intersection(region)
    if held.is_empty:
        return Region.empty(len(window.grid)), np.zeros((0,) * len(window.grid), dtype=np.float32)
    values = click_ball(radius)[held.shift([-s for s in ball.start]).slices]
    if region.shape == window.grid:
        return held.shift([-s for s in region.start]), values
    kernel = dilation_kernel(max(window.scale))
    reach = kernel // 2
    grown = Region(tuple(a - reach for a in held.start), tuple(b + reach for b in held.stop)).intersection(region)
    room = [(a - b, d - c) for a, b, c, d in zip(held.start, grown.start, held.stop, grown.stop, strict=True)]
    values = ndimage.maximum_filter(np.pad(values, room), kernel, mode="constant")
    local = grown.shift([-s for s in region.start])
    matrices, start, stop = [], [], []
    for axis, (side, cells) in enumerate(zip(region.shape, window.grid, strict=True)):
        weights = area_weights(side, cells)[:, local.start[axis] : local.stop[axis]]
        touched = np.flatnonzero(weights.any(axis=1))
        start.append(int(touched[0]))
        stop.append(int(touched[-1]) + 1)
        matrices.append(weights[start[-1] : stop[-1]])
    return Region(tuple(start), tuple(stop)), apply_matrices(np.asarray(values, dtype=np.float32), matrices)


def box_profiles(box: Region, window: Window) -> NDArray[np.float32]:
    """Return a half-open box on the window's grid, as one profile an axis whose product is the share of each cell in
    the box.

    Args:
        box: Voxels of the image.
        window: Whole voxels, as many on each axis, with as many cells.

    Returns:
        float32 (axes, cells).
    """
    region = cube_region(window)
    profiles = []
    for axis, (side, cells) in enumerate(zip(region.shape, window.grid, strict=True)):
        index = np.arange(side) + region.start[axis]
        marked = ((index >= box.start[axis]) & (index < box.stop[axis])).astype(np.float32)
        profiles.append(marked if side == cells else area_weights(side, cells) @ marked)
    return np.stack(profiles).astype(np.float32)
