"""Keeping the voxels of a mask whose intensities lie above or below a number; both make a range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedside.edits import EDITS, Edit, Mask, Value

HIGHEST = 1e9


def keep_above(mask: Mask, spacing: tuple[float, ...], least: float, samples: NDArray[np.float32]) -> Mask:  # noqa: ARG001
    """Return the voxels of the mask whose samples are ``least`` or more."""
    return mask & (samples >= np.float32(least))


def keep_below(mask: Mask, spacing: tuple[float, ...], most: float, samples: NDArray[np.float32]) -> Mask:  # noqa: ARG001
    """Return the voxels of the mask whose samples are ``most`` or less."""
    return mask & (samples <= np.float32(most))


INTENSITY = Value("intensity", 0.0, -HIGHEST, HIGHEST)
EDITS.register("keep-above")(
    Edit("Keep what is brighter", "Drop voxels darker than this.", keep_above, INTENSITY, looks=True)
)
EDITS.register("keep-below")(
    Edit("Keep what is darker", "Drop voxels brighter than this.", keep_below, INTENSITY, looks=True)
)
