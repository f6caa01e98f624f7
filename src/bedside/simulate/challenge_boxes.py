"""Boxes as the CVPR 2025 competition makes them from labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.prompts import Box

LARGEST_STEP = 5
STEPS = 256
"""A box is enlarged on each side by 0 to 5 of 256 parts of the image's side."""


def middle_slice_box(truth: NDArray[Any], generator: np.random.Generator) -> tuple[Box, int]:
    """Return the competition's box of an object and the slice on which it was measured.

    In z the box reaches from the object's first slice to its last. In x and y it is the extent on the middle one of the
    slices that hold the object, enlarged by as many parts of the image as the generator says (one draw for both axes)
    and clipped to the image; so it may cut the object on other slices.

    Args:
        truth: The object, (z, y, x), at least one voxel set.
        generator: Draws the enlargement. The published code seeds the global generator instead.

    Returns:
        The box, half-open, in the frame ``index``, and the middle slice.

    Raises:
        PromptError: The object is empty or no volume.
    """
    slices = np.flatnonzero(truth.any(axis=(1, 2))) if truth.ndim == 3 else np.empty(0, np.intp)
    if slices.size == 0:
        raise PromptError("box of an object", expected="a volume with at least one voxel", got=f"shape {truth.shape}")
    middle = int(slices[len(slices) // 2])
    step = int(generator.integers(LARGEST_STEP + 1))
    low, high = [], []
    # x first: columns of the slice, then its rows.
    for axis in (0, 1):
        inside = np.flatnonzero(truth[middle].any(axis=axis))
        size = truth.shape[2 - axis]
        grow = step * size // STEPS
        low.append(max(0, int(inside[0]) - grow))
        high.append(min(size, int(inside[-1]) + 1 + grow))
    return Box((*low, float(slices[0])), (*high, float(slices[-1] + 1))), middle
