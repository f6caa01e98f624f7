"""Growing a mask to all that is connected with it and looks like it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.edits import EDITS, Edit, Mask, Value

ITERATIONS = 4
"""Times that mean and deviation are taken again from what was found."""
FARTHEST = 60.0
"""How far in mm from the mask it may grow."""


def grow_region(mask: Mask, spacing: tuple[float, ...], width: float, samples: NDArray[np.float32]) -> Mask:  # noqa: ARG001
    """Return the mask with all connected voxels whose samples lie within ``width`` standard deviations of its mean.

    Mean and deviation are those of the mask at first and then of what was found, as in ITK's confidence-connected
    filter. Neighbours share a face. The mask itself stays.
    """
    known = np.isfinite(samples)
    found = mask & known
    if not found.any():
        return mask
    seeds = found
    for _ in range(ITERATIONS + 1):
        inside = samples[found].astype(np.float64)
        reach = width * inside.std()
        alike = known & (samples >= inside.mean() - reach) & (samples <= inside.mean() + reach)
        labels, _ = ndimage.label(alike)
        touched = np.unique(labels[seeds & alike])
        following = np.isin(labels, touched[touched > 0])
        if not following.any() or np.array_equal(following, found):
            break
        found = following
    return found | mask


EDITS.register("grow-region")(
    Edit(
        "Grow to what looks alike",
        f"Add connected voxels within so many standard deviations of the mask's mean, up to {FARTHEST:.0f} mm away.",
        grow_region,
        Value("deviations", 2.5, 0.1, 20.0),
        grows=lambda _: FARTHEST,
        looks=True,
    )
)
