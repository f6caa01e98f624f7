"""Resizing slices by the kernels that the systems were trained with, as one matrix for each axis.

Rows of a matrix are cells of the result, columns cells of the source; cell centres lie at half, as all the libraries
that the systems use have it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.imaging.resample import AxisWeights, apply_weights

Kernel = Literal["area", "linear", "triangle", "cubic"]
Matrix = NDArray[np.float32]


@functools.lru_cache(maxsize=8)
def resize_matrix(kernel: Kernel, cells: int, size: int) -> Matrix:
    """Return weights (cells, size), float32, whose rows sum to 1.

    Args:
        kernel: "area" is the mean over what a cell covers, in both directions; "linear" reads two neighbours, however
            far apart the cells are; "triangle" is the same where the result is larger, and as wide as a cell where it
            is smaller, as torch's antialiased bilinear resizing; "cubic" is a spline of third order through the
            samples, blurred before where the result is smaller, as scikit-image's resize with order 3.
        cells: Cells of the result.
        size: Size of the source.
    """
    makers: dict[Kernel, Callable[[int, int], NDArray[np.float64]]] = {
        "area": _area,
        "linear": _linear,
        "triangle": _triangle,
        "cubic": cubic_matrix,
    }
    made = makers[kernel](cells, size)
    result: Matrix = (made / made.sum(axis=1, keepdims=True)).astype(np.float32)
    result.flags.writeable = False
    return result


def resize(array: NDArray[Any], shape: tuple[int, int], kernel: Kernel) -> NDArray[np.float32]:
    """Map (y, x) or (y, x, channels) to ``shape``, float32."""
    axes = [
        AxisWeights(0, size, 1, resize_matrix(kernel, cells, size))
        for cells, size in zip(shape, array.shape[:2], strict=True)
    ]
    return apply_weights(array, axes)


def _area(cells: int, size: int) -> NDArray[np.float64]:
    edges = np.arange(cells + 1) * (size / cells)
    voxels = np.arange(size)
    covered = np.minimum(edges[1:, None], voxels + 1.0) - np.maximum(edges[:-1, None], voxels)
    weights: NDArray[np.float64] = np.clip(covered, 0.0, None)
    return weights


def _centres(cells: int, size: int) -> NDArray[np.float64]:
    """Return where the cells' centres lie among the samples."""
    return (np.arange(cells, dtype=np.float64) + 0.5) * (size / cells) - 0.5


def _linear(cells: int, size: int) -> NDArray[np.float64]:
    at = np.clip(_centres(cells, size), 0.0, size - 1.0)
    weights: NDArray[np.float64] = np.clip(1.0 - np.abs(at[:, None] - np.arange(size)), 0.0, 1.0)
    return weights


def _triangle(cells: int, size: int) -> NDArray[np.float64]:
    # Near the border the part of the triangle that lies beyond it is left out, not moved to the last sample.
    distance = np.abs(_centres(cells, size)[:, None] - np.arange(size)) / max(1.0, size / cells)
    weights: NDArray[np.float64] = np.clip(1.0 - distance, 0.0, None)
    return weights


@functools.lru_cache(maxsize=8)
def cubic_matrix(cells: int, size: int) -> NDArray[np.float64]:
    """Return weights (cells, size), float64, of a cubic spline through samples that are mirrored about the outermost
    ones.

    Where the result is smaller the samples are blurred before, by a Gaussian whose deviation is half of what a cell is
    wider than a sample.
    """
    from scipy import ndimage

    samples: NDArray[np.float64] = np.eye(size)
    deviation = max(0.0, (size / cells - 1) / 2)
    if deviation > 0:
        samples = ndimage.gaussian_filter1d(samples, deviation, axis=0, mode="mirror")
    if size > 1:
        samples = ndimage.spline_filter1d(samples, 3, axis=0, mode="mirror")
    centres = _centres(cells, size)
    first = np.floor(centres).astype(np.intp) - 1
    weights = np.zeros((cells, size))
    for offset in range(4):
        index = _mirrored(first + offset, size)
        weights += _spline(np.abs(first + offset - centres))[:, None] * samples[index]
    weights.flags.writeable = False
    return weights


def _mirrored(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return indices beyond the ends, mirrored about the outermost samples."""
    if size == 1:
        return np.zeros_like(index)
    turned: NDArray[np.intp] = np.abs(index) % (2 * size - 2)
    return np.minimum(turned, 2 * size - 2 - turned)


def _spline(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cubic B-spline."""
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0.0, None) ** 3 / 6
    return np.where(distance < 1, near, far)
