"""Separable resampling between an image's voxels and a window's grid, in any number of dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL_PRODUCT = 2**18
"""Multiplications up to which OpenBLAS, NumPy's usual library, makes a product of matrices in the calling thread."""
BAND = 16
"""Cells that are computed together from the voxels that they see."""


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """Linear map from the voxels ``start <= i < stop`` (every ``step``-th) of one axis to the cells of a grid.

    Attributes:
        start: First voxel used.
        stop: One past the last voxel used.
        step: Stride over the voxels.
        matrix: float32 (cells, voxels); a row sums to 1, or to 0 for a cell outside the image.
    """

    start: int
    stop: int
    step: int
    matrix: NDArray[np.float32]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Cells that see at least one voxel."""
        return np.asarray(self.matrix.any(axis=1))


def axis_weights(
    start: float, stop: float, cells: int, size: int, *, exact: bool = False, per_cell: int = 4
) -> AxisWeights:
    """Return weights that resample one axis: linear where the grid is finer than the voxels, a triangle over them
    otherwise.

    Coordinates are those of edges: voxel i spans i to i + 1.

    Args:
        start: Where the grid's first cell begins.
        stop: Where its last cell ends.
        cells: Number of cells.
        size: Number of voxels on the axis.
        exact: Use every voxel. Otherwise at least ``per_cell`` voxels per cell are used, which is cheaper by the square
            (in 3D the cube) of the stride and below the noise of an average.
        per_cell: See ``exact``.
    """
    scale = (stop - start) / cells
    step = 1 if exact else max(1, int(scale // per_cell))
    support = max(1.0, scale)
    first = max(0, int(np.floor(start - support)))
    last = min(size, int(np.ceil(stop + support)))
    if last <= first:
        return AxisWeights(0, 0, 1, np.zeros((cells, 0), dtype=np.float32))
    voxels = np.arange(first, last, step) + 0.5
    centres = start + (np.arange(cells) + 0.5) * scale
    weights = np.clip(1.0 - np.abs(voxels[None, :] - centres[:, None]) / support, 0.0, None)
    # A cell of which less than half lies within the image is outside, though the filter may reach a voxel; where the
    # image is thinner than a cell, half of the image must do.
    covered = np.minimum(centres + scale / 2, size) - np.maximum(centres - scale / 2, 0)
    weights[covered < 0.5 * min(scale, size)] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 1e-6)
    return AxisWeights(first, last, step, weights.astype(np.float32))


@dataclass(frozen=True, eq=False)
class VoxelTaps:
    """Linear interpolation of voxels from the two cells of a grid that are nearest on one axis.

    Attributes:
        lower: intp (voxels,), the cell before.
        upper: intp (voxels,), the cell after, or the same at the ends.
        share: float32 (voxels,), weight of the cell after.
    """

    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    share: NDArray[np.float32]


def voxel_taps(start: float, stop: float, cells: int, first: int, last: int) -> VoxelTaps:
    """Return taps that interpolate the voxels ``first <= i < last`` of an axis from a grid's cells.

    Voxels beyond the centres of the outer cells take the outer cell's value.
    """
    scale = (stop - start) / cells
    position = np.clip((np.arange(first, last) + 0.5 - start) / scale - 0.5, 0.0, cells - 1.0)
    lower = np.floor(position).astype(np.intp)
    return VoxelTaps(lower, np.minimum(lower + 1, cells - 1), (position - lower).astype(np.float32))


def interpolate(array: NDArray[np.float32], taps: list[VoxelTaps]) -> NDArray[np.float32]:
    """Return the values of all voxels, float32, one axis after the other."""
    inner = _interpolate_inner(array, taps)
    first = taps[0]
    share = first.share.reshape(-1, *(1,) * (array.ndim - 1))
    return np.asarray(inner[first.lower] * (1 - share) + inner[first.upper] * share, dtype=np.float32)


def interpolate_mask(array: NDArray[np.float32], taps: list[VoxelTaps]) -> NDArray[np.uint8]:
    """Return where ``interpolate`` is above 0, uint8 0/1, made slice by slice: the values are never in memory whole."""
    inner = _interpolate_inner(array, taps)
    first = taps[0]
    mask = np.empty((len(first.share), *inner.shape[1:]), dtype=np.uint8)
    for target, lower, upper, share in zip(mask, first.lower, first.upper, first.share, strict=True):
        # Most slices of a large window lie within the same two cells; NumPy keeps both in the cache.
        np.greater(inner[lower] * (1 - share) + inner[upper] * share, 0, out=target.view(np.bool_))
    return mask


def _interpolate_inner(array: NDArray[np.float32], taps: list[VoxelTaps]) -> NDArray[np.float32]:
    """Return all axes but the first, the last one first, where the array is still small."""
    result = array
    for axis in range(array.ndim - 1, 0, -1):
        tap = taps[axis]
        share = tap.share.reshape([-1 if a == axis else 1 for a in range(array.ndim)])
        result = np.take(result, tap.lower, axis) * (1 - share) + np.take(result, tap.upper, axis) * share
    return result


def apply_weights(array: NDArray[Any], weights: list[AxisWeights]) -> NDArray[np.float32]:
    """Resample the leading axes of ``array``, one weight matrix each; further axes (colour) are carried along.

    Only the voxels that the grid needs are read and converted to float.
    """
    block = array[tuple(slice(w.start, w.stop, w.step) for w in weights)]
    # The axis that shrinks most goes first, so that the later products are small.
    order = sorted(range(len(weights)), key=lambda a: weights[a].matrix.shape[0] / max(1, weights[a].matrix.shape[1]))
    result = block.astype(np.float32, copy=False)
    if block.dtype.kind == "f":
        # One sample that is not a number would spread over the whole window.
        result = np.nan_to_num(result, nan=0.0, posinf=0.0, neginf=0.0)
    for axis in order:
        result = _multiply(weights[axis].matrix, result, axis)
    return np.ascontiguousarray(result, dtype=np.float32)


def apply_matrices(array: NDArray[np.float32], matrices: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Multiply every axis of ``array`` by its matrix (out, in), the axis that grows least first."""
    result = array
    for axis in sorted(range(array.ndim), key=lambda a: matrices[a].shape[0] / matrices[a].shape[1]):
        result = _multiply(matrices[axis], result, axis)
    return np.ascontiguousarray(result, dtype=np.float32)


def _multiply(matrix: NDArray[np.float32], array: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Multiply one axis of ``array`` by ``matrix`` (out, in), without moving axes: copies would cost more than it."""
    before, after = math.prod(array.shape[:axis]), math.prod(array.shape[axis + 1 :])
    rows, columns = matrix.shape
    # Lengths are given in full: -1 is rejected where the window sees no voxel on an axis.
    source = array.reshape(before, columns, after)
    result = np.zeros((before, rows, after), dtype=np.float32)
    for first in range(0, rows, BAND):
        band = matrix[first : first + BAND]
        # Neighbouring cells see neighbouring voxels: all other weights are zero.
        seen = np.flatnonzero(band.any(axis=0))
        if len(seen):
            voxels = slice(int(seen[0]), int(seen[-1]) + 1)
            _in_small_products(band[:, voxels], source[:, voxels], result[:, first : first + BAND])
    return result.reshape(*array.shape[:axis], rows, *array.shape[axis + 1 :])


def _in_small_products(matrix: NDArray[np.float32], source: NDArray[np.float32], result: NDArray[np.float32]) -> None:
    """Fill ``result`` (before, out, after) with ``matrix`` (out, in) times ``source`` (before, in, after).

    The threads of a large product would spin on for some 30 ms, on the very cores on which the network runs next.
    """
    length = max(1, SMALL_PRODUCT // matrix.size)
    if source.shape[2] == 1:
        for first in range(0, len(source), length):
            piece = slice(first, first + length)
            np.matmul(source[piece, :, 0], matrix.T, out=result[piece, :, 0])
    else:
        for first in range(0, source.shape[2], length):
            piece = slice(first, first + length)
            np.matmul(matrix, source[:, :, piece], out=result[:, :, piece])
