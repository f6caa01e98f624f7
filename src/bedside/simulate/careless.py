"""Clicks of users who do not look closely: beside the middle of an error, where nothing is wrong, or far away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Point

FAR = 0.8
"""Part of the greatest distance from object and mask from which a place is far away."""


def careless_click(truth: NDArray[Any], prediction: NDArray[Any], generator: np.random.Generator) -> Point | None:
    """Return a click anywhere in the error, positive where the object was missed; None where there is no error.

    Args:
        truth: The object, (z, y, x) or (y, x).
        prediction: The mask to correct, of the same shape.
        generator: Source of randomness.
    """
    return _click_in((truth != 0) != (prediction != 0), truth, generator)


def useless_click(truth: NDArray[Any], prediction: NDArray[Any], generator: np.random.Generator) -> Point | None:
    """Return a click that asks for what is there already: as often in the mask as beside it, where there is both.

    Args:
        truth: The object, (z, y, x) or (y, x).
        prediction: The mask, of the same shape.
        generator: Source of randomness.
    """
    right = (truth != 0) == (prediction != 0)
    side = right & ((truth != 0) == bool(generator.random() < 0.5))
    return _click_in(side if side.any() else right, truth, generator)


def far_click(truth: NDArray[Any], prediction: NDArray[Any], generator: np.random.Generator) -> Point | None:
    """Return a negative click where neither object nor mask is, as far from both as the arrays reach.

    Args:
        truth: The object, (z, y, x) or (y, x).
        prediction: The mask, of the same shape.
        generator: Source of randomness.
    """
    neither = ~((truth != 0) | (prediction != 0))
    distance = np.asarray(ndimage.distance_transform_edt(np.pad(neither, 1, constant_values=True)))
    distance = distance[(slice(1, -1),) * truth.ndim] * neither
    return _click_in(neither & (distance >= FAR * distance.max()), truth, generator)


def _click_in(where: NDArray[np.bool_], truth: NDArray[Any], generator: np.random.Generator) -> Point | None:
    places = np.flatnonzero(where)
    if not len(places):
        return None
    index = tuple(int(i) for i in np.unravel_index(places[generator.integers(len(places))], where.shape))
    return Point(tuple(float(i) for i in index)[::-1], positive=bool(truth[index]))
