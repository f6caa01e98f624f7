"""Resizing slices by the kernels that the systems were trained with, as one matrix for each axis.

Rows of a matrix are cells of the result, columns cells of the source; cell centres lie at half, as all the libraries
that the systems use have it.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.imaging.resample import AxisWeights, apply_weights

Kernel = Literal["area", "linear", "cubic"]
Matrix = NDArray[np.float32]
CUBIC = -0.5
"""Slope of the cubic kernel at 1: that of Keys, who showed it to be the most exact."""


@functools.lru_cache(maxsize=8)
def resize_matrix(kernel: Kernel, cells: int, size: int) -> Matrix:
    """Weights (cells, size), float32, whose rows sum to 1.

    Args:
        kernel: "area" is the mean over what a cell covers, in both directions; "linear" reads two neighbours, however
            far apart the cells are; "cubic" is Keys' kernel, as wide as a cell where the result is smaller.
        cells: Of the result.
        size: Of the source.
    """
    if kernel == "area":
        weights = _area(cells, size)
    else:
        centres = (np.arange(cells, dtype=np.float64) + 0.5) * (size / cells) - 0.5
        weights = _linear(centres, size) if kernel == "linear" else _cubic(centres, size, max(1.0, size / cells))
    result: Matrix = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    result.flags.writeable = False
    return result


def resize(array: NDArray[Any], shape: tuple[int, int], kernel: Kernel) -> NDArray[np.float32]:
    """(y, x) or (y, x, channels) to ``shape``, float32."""
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


def _linear(centres: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    at = np.clip(centres, 0.0, size - 1.0)
    weights: NDArray[np.float64] = np.clip(1.0 - np.abs(at[:, None] - np.arange(size)), 0.0, 1.0)
    return weights


def _cubic(centres: NDArray[np.float64], size: int, width: float) -> NDArray[np.float64]:
    reach = int(np.ceil(2 * width)) + 1
    weights = np.zeros((len(centres), size))
    offsets = np.arange(-reach, reach + 1)
    for row, centre in enumerate(centres):
        voxels = int(np.floor(centre)) + offsets
        # Beyond the border the outermost sample goes on.
        np.add.at(weights[row], np.clip(voxels, 0, size - 1), _keys(np.abs(voxels - centre) / width))
    return weights


def _keys(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    a, d = CUBIC, distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
