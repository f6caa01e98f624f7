"""Growing and shrinking by a distance, and shells."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bedside.edits import EDITS, Edit, Mask, Value

FARTHEST = 200.0


def grow(mask: Mask, spacing: tuple[float, ...], distance: float) -> Mask:
    """Return the mask with all voxels whose middle lies within ``distance`` mm of the middle of one of its own."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing) <= distance)


def shrink(mask: Mask, spacing: tuple[float, ...], distance: float) -> Mask:
    """Return the voxels of the mask that are farther than ``distance`` mm from all others, middle to middle."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing) > distance)


def hollow(mask: Mask, spacing: tuple[float, ...], thickness: float) -> Mask:
    """Return the wall of the mask: what ``shrink`` by ``thickness`` mm takes away."""
    return mask & ~shrink(mask, spacing, thickness)


DISTANCE = Value("mm", 1.0, 0.01, FARTHEST)
EDITS.register("grow")(
    Edit("Grow", "Grow the mask on all sides by a distance.", grow, DISTANCE, grows=lambda distance: distance)
)
EDITS.register("shrink")(Edit("Shrink", "Shrink the mask on all sides by a distance.", shrink, DISTANCE, goes_on=True))
EDITS.register("hollow")(
    Edit("Hollow", "Leave a wall of this thickness inside the border.", hollow, DISTANCE, goes_on=True)
)
