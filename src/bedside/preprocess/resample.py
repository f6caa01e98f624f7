"""Separable resampling between an image's voxels and a window's grid, in any number of dimensions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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


def axis_weights(start: float, stop: float, cells: int, size: int, *, exact: bool = False) -> AxisWeights:
    """Weights that resample one axis: linear where the grid is finer than the voxels, a triangle over them otherwise.

    Coordinates are those of edges: voxel i spans i to i + 1.

    Args:
        start: Where the grid's first cell begins.
        stop: Where its last cell ends.
        cells: Number of cells.
        size: Number of voxels on the axis.
        exact: Use every voxel. Otherwise at least four voxels per cell are used, which is cheaper by the square
            (in 3D the cube) of the stride and below the noise of an average.
    """
    scale = (stop - start) / cells
    step = 1 if exact else max(1, int(scale // 4))
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


def voxel_weights(start: float, stop: float, cells: int, first: int, last: int) -> NDArray[np.float32]:
    """Weights (voxels, cells) that interpolate the voxels ``first <= i < last`` linearly from a grid's cells.

    Voxels beyond the centres of the outer cells take the outer cell's value.
    """
    scale = (stop - start) / cells
    position = np.clip((np.arange(first, last) + 0.5 - start) / scale - 0.5, 0.0, cells - 1.0)
    weights = np.clip(1.0 - np.abs(position[:, None] - np.arange(cells)[None, :]), 0.0, 1.0)
    return np.asarray(weights, dtype=np.float32)


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
    shape = (*array.shape[:axis], matrix.shape[0], *array.shape[axis + 1 :])
    # Lengths are given in full: -1 is refused where the window sees no voxel on an axis.
    if after == 1:
        product = array.reshape(before, matrix.shape[1]) @ matrix.T
    else:
        product = np.matmul(matrix, array.reshape(before, matrix.shape[1], after))
    return product.reshape(shape)
