"""Simulated clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.prompts import Point
from bedside.simulate.components import largest_component, pick_centre

OFFICIAL_SEED = 42
"""Seed of the 2025 competition's clicks."""


def first_click(truth: NDArray[Any], generator: np.random.Generator, sharpness: float | None = None) -> Point:
    """Return a positive click on the object: at the centre of its largest part, or drawn by ``sharpness``.

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
    """Return the click that corrects the largest connected error, at its centre; None where there is no error.

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


def official_click(truth: NDArray[Any], prediction: NDArray[Any], generator: np.random.Generator) -> Point | None:
    """As ``next_click``, with ties among centres broken as the competition's own code does.

    It seeds NumPy's global generator with 42 before every click, so that of n equal centres it is always the same.

    Args:
        truth: The object, (z, y, x) or (y, x).
        prediction: The mask to correct, of the same shape.
        generator: Not used.
    """
    del generator
    # The sequence of the old generators is what the competition has.
    old: Any = np.random.RandomState(OFFICIAL_SEED)
    return next_click(truth, prediction, _OldIntegers(old))  # type: ignore[arg-type]


class _OldIntegers:
    """An old generator that draws as ``choice`` does of that many."""

    def __init__(self, old: Any) -> None:
        self._old = old

    def integers(self, count: int) -> int:
        return int(self._old.choice(count))
