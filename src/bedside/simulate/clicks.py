"""Simulated clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.prompts import Point
from bedside.simulate.components import largest_component, pick_centre


def first_click(truth: NDArray[Any], generator: np.random.Generator, sharpness: float | None = None) -> Point:
    """A positive click on the object: at the centre of its largest part, or drawn by ``sharpness``.

    Args:
        truth: The object, (z, y, x) or (y, x), at least one voxel set.
        generator: Source of randomness.
        sharpness: See ``components.pick_centre``.
    """
    part, region = largest_component(truth)
    index = pick_centre(part, generator, sharpness)
    return Point(tuple(float(i + s) for i, s in zip(index, region.start, strict=True))[::-1])


def next_click(
    truth: NDArray[Any], prediction: NDArray[Any], generator: np.random.Generator, sharpness: float | None = None
) -> Point | None:
    """The click that corrects the largest connected error, at its centre; None where there is no error.

    It is positive where the object was missed and negative where the prediction went too far: the CVPR 2025
    competition's rule, with a private generator and on the error cropped to its extent.

    Args:
        truth: The object, (z, y, x) or (y, x).
        prediction: The mask to correct, of the same shape.
        generator: Source of randomness.
        sharpness: See ``components.pick_centre``.
    """
    part, region = largest_component((truth != 0) != (prediction != 0))
    if region.is_empty:
        return None
    index = tuple(i + s for i, s in zip(pick_centre(part, generator, sharpness), region.start, strict=True))
    return Point(tuple(float(i) for i in index)[::-1], positive=bool(truth[index]))
