"""Distances between the borders of two masks, of which metrics of distance are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from bedside.core.region import mask_region


def border_distances(
    truth: NDArray[Any], prediction: NDArray[Any], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure how far each mask's border lies from the other's.

    A border is made of the voxels of a mask that share a face with a voxel outside it; whatever lies outside the array
    is outside the mask. Distances are those of voxel centres.

    Args:
        truth: Binary mask (z, y, x) or (y, x), not empty.
        prediction: Binary mask of the same shape, not empty.
        spacing: Distance between samples along each axis.

    Returns:
        For each voxel of the truth's border the distance to the nearest one of the prediction's, and the reverse, in
        the unit of ``spacing``.
    """
    region = mask_region(truth).union(mask_region(prediction))
    steps = np.asarray(spacing, dtype=np.float64)
    one, other = (np.asarray(_border(m[region.slices]) * steps, dtype=np.float64) for m in (truth, prediction))
    return _nearest(one, other), _nearest(other, one)


def _border(mask: NDArray[Any]) -> NDArray[np.intp]:
    """Return indices (n, axes) of a mask's border."""
    inside = mask != 0
    return np.argwhere(inside & ~ndimage.binary_erosion(inside))


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    distance, _ = cKDTree(others, balanced_tree=False, compact_nodes=False).query(points)
    return np.asarray(distance, dtype=np.float64)
