"""Filling what a mask encloses."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bedside.edits import EDITS, Edit, Mask


def fill_holes(mask: Mask, spacing: tuple[float, ...], value: float) -> Mask:  # noqa: ARG001
    """Return the mask with what it encloses on all sides; a way out leads through sides of voxels."""
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=np.bool_)


def fill_slices(mask: Mask, spacing: tuple[float, ...], value: float) -> Mask:
    """Return the mask with what it encloses on each slice, across the axis of the largest spacing."""
    if mask.ndim == 2:
        return fill_holes(mask, spacing, value)
    axis = int(np.argmax(spacing))
    planes = np.moveaxis(mask, axis, 0)
    filled = np.stack([ndimage.binary_fill_holes(plane) for plane in planes])
    return np.moveaxis(filled, 0, axis)


EDITS.register("fill-holes")(Edit("Fill holes", "Fill what the mask encloses on all sides.", fill_holes))
EDITS.register("fill-slices")(
    Edit("Fill holes of slices", "Fill what the mask encloses on each slice, tunnels across slices too.", fill_slices)
)
