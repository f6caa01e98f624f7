"""Simulated boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.prompts import Box
from bedside.core.region import mask_region


def tight_box(truth: NDArray[Any]) -> Box:
    """Return the smallest box that holds the object.

    Raises:
        PromptError: The object is empty.
    """
    region = mask_region(truth)
    if region.is_empty:
        raise PromptError("box of an object", expected="at least one voxel", got="an empty mask")
    return Box(tuple(map(float, region.start[::-1])), tuple(map(float, region.stop[::-1])))


def jittered_box(box: Box, generator: np.random.Generator, inward: float = 0.05, outward: float = 0.1) -> Box:
    """Return ``box`` with each face moved on its own, uniformly from ``inward`` to ``outward``, in parts of the box's
    side.

    Args:
        box: In the frame ``index``.
        generator: Source of randomness.
        inward: Largest share of the side by which a face may cut into the box.
        outward: Largest share of the side by which a face may stand off.
    """
    low, high = np.array(box.low), np.array(box.high)
    side = high - low
    low = low - generator.uniform(-inward, outward, size=len(side)) * side
    high = high + generator.uniform(-inward, outward, size=len(side)) * side
    # However far the faces move, a voxel's breadth of the box is left.
    high = np.maximum(high, low + 1.0)
    return Box(tuple(low), tuple(high), box.positive, box.frame)
