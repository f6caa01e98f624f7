"""Simulated masks of other tools: the object with a border that is off, shifted and uneven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import InputError
from bedside.core.region import Region, mask_region

UNEVENNESS = 0.2
"""Standard deviation of the border's displacement, in parts of the object's depth."""
LARGEST_OFFSET = 0.25
"""How far the whole border may lie too far out or in, in parts of the object's depth."""
LARGEST_SHIFT = 0.25
"""How far the mask may be moved along each axis, in parts of the object's depth."""
HALVINGS = 6
"""How often the faults are halved for an object that vanishes under them; then it is given as it is."""


def degraded_mask(
    truth: NDArray[Any], generator: np.random.Generator, spacing: Sequence[float] | None = None
) -> tuple[NDArray[np.bool_], Region]:
    """Return a mask as another tool or a hurried colleague would have left it.

    Its border is displaced by smooth noise, drawn in or let out as a whole, and the mask is moved. All faults are in
    proportion to the object's depth, the largest distance of a voxel from the border, so that thin objects keep their
    course.

    Args:
        truth: The object, (z, y, x) or (y, x), at least one voxel set.
        generator: Source of randomness.
        spacing: Spacing of the voxels in array order, in any unit; ones where left out.

    Returns:
        The mask and the region of ``truth``'s grid that it covers; at least one voxel is set.

    Raises:
        InputError: The object is empty.
    """
    tight = mask_region(truth)
    if tight.is_empty:
        raise InputError("degraded mask", expected="an object of at least one voxel", got="an empty mask")
    steps = np.ones(truth.ndim) if spacing is None else np.asarray(spacing, dtype=np.float64) / min(spacing)
    distances = ndimage.distance_transform_edt(np.pad(truth[tight.slices] != 0, 1), sampling=steps)
    radius = max(1.0, float(distances.max()))
    margin = [int(np.ceil(radius / step)) + 1 for step in steps]
    region = Region(
        tuple(a - m for a, m in zip(tight.start, margin, strict=True)),
        tuple(b + m for b, m in zip(tight.stop, margin, strict=True)),
    ).clip(truth.shape)
    part = truth[region.slices] != 0
    signed = _signed_distance(part, steps)
    noise = smooth_noise(part.shape, [max(2.0, radius / step) for step in steps], generator)
    offset = generator.uniform(-LARGEST_OFFSET, LARGEST_OFFSET)
    shift = generator.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, size=part.ndim)
    strength = radius
    for _ in range(HALVINGS):
        moved = ndimage.shift(signed, strength * shift / steps, order=1, mode="nearest")
        mask = moved < strength * (offset + UNEVENNESS * noise)
        if mask.any():
            return mask, region
        strength /= 2
    return part, region


def smooth_noise(shape: Sequence[int], lengths: Sequence[float], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return noise of mean 0 and deviation 1 that changes over ``lengths`` voxels along each axis: coarse noise,
    interpolated.

    Args:
        shape: Shape of the result.
        lengths: Voxels from one independent value to the next, one an axis.
        generator: Source of randomness.
    """
    knots = [max(2, int(np.ceil(n / length)) + 1) for n, length in zip(shape, lengths, strict=True)]
    # Values past the ends give the interpolation as much freedom there as in the middle.
    values = generator.standard_normal([k + 2 for k in knots])
    axes = [np.linspace(0.5, k + 0.5, n) for n, k in zip(shape, knots, strict=True)]
    for axis, places in enumerate(axes):
        below = np.floor(places).astype(int)
        share = (places - below).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        # Smooth at the knots, where linear interpolation would leave edges.
        share = share * share * (3 - 2 * share)
        values = np.take(values, below, axis) * (1 - share) + np.take(values, below + 1, axis) * share
    deviation = float(values.std())
    return np.asarray((values - values.mean()) / (deviation if deviation > 0 else 1.0))


def _signed_distance(mask: NDArray[np.bool_], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return distance to the border, negative inside; what lies beyond the array is outside."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=steps)[(slice(1, -1),) * mask.ndim]
    if mask.all():
        return np.asarray(-inside)
    outside = ndimage.distance_transform_edt(~mask, sampling=steps)
    return np.asarray(outside - inside)
