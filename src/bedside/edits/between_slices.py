"""Filling the slices between those that were drawn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.edits import EDITS, Edit, Mask


def interpolate(mask: Mask, spacing: tuple[float, ...], value: float) -> Mask:  # noqa: ARG001
    """Return the mask with its empty slices between drawn ones filled, across the axis with the most such slices.

    Between two drawn slices the signed distance to the border changes linearly (shape-based interpolation, Raya and
    Udupa, IEEE TMI 1990). Drawn slices stay as they are; of axes with equally many gaps that of the largest spacing is
    taken.
    """
    if not mask.any():
        return mask
    axis = max(range(3), key=lambda a: (_gaps(mask, a), spacing[a]))
    planes = np.moveaxis(mask, axis, 0).copy()
    flat = tuple(s for a, s in enumerate(spacing) if a != axis)
    drawn = np.flatnonzero(planes.any(axis=(1, 2)))
    for first, last in pairwise(drawn):
        if last - first < 2:
            continue
        low, high = _signed(planes[first], flat), _signed(planes[last], flat)
        for number in range(first + 1, last):
            share = (number - first) / (last - first)
            planes[number] = (1 - share) * low + share * high > 0
    return np.moveaxis(planes, 0, axis)


def _gaps(mask: Mask, axis: int) -> int:
    """Return the empty slices between the first and the last drawn one."""
    drawn = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    return int(drawn[-1] - drawn[0] + 1 - len(drawn))


def _signed(plane: Mask, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return distance in mm to the border, positive inside."""
    inside = ndimage.distance_transform_edt(plane, sampling=spacing)
    return np.asarray(inside - ndimage.distance_transform_edt(~plane, sampling=spacing))


EDITS.register("interpolate")(
    Edit("Fill between slices", "Fill the empty slices between drawn ones by their shapes.", interpolate, sliced=True)
)
