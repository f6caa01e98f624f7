"""Objects of many parts, and errors that users put right with a negative click."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

UNION_CHANCE = {"instance": 0.4, "part": 0.25}
"""How often what is drawn becomes several objects, by the kind of its map; whole labels have all their parts."""
ALL_CHANCE = 0.5
"""How often those are all there are, and not only those near one of them."""
NEIGHBOURHOOD = (1.5, 6.0)
"""Side of the square within which objects count as near, in parts of the object's own."""


def gather_parts(
    values: NDArray[Any], value: int, label: NDArray[np.bool_] | None, chance: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Return the mask of an object, or with a chance of it together with others of its kind: all, or those near it.

    Args:
        values: Map of a plane, (y, x), 0 where there is no object.
        value: Value of the object, which may not be there.
        label: Where objects of the same kind are, bool (y, x); None where all of the map are.
        chance: That others join it.
        generator: Source of randomness.

    Returns:
        bool (y, x).
    """
    mask: NDArray[np.bool_] = values == value
    if generator.random() >= chance or not mask.any():
        return mask
    same = (values > 0) & label if label is not None else values > 0
    if generator.random() < ALL_CHANCE:
        return same
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    reach = 0.5 * side * float(np.exp(generator.uniform(*np.log(NEIGHBOURHOOD))))
    window = tuple(
        slice(max(0, int((places[0] + places[-1]) / 2 - reach)), int((places[0] + places[-1]) / 2 + reach) + 1)
        for places in (rows, columns)
    )
    return np.isin(values, np.unique(values[window][same[window]])) & same


def mistaken_part(
    truth: NDArray[np.uint8], others: NDArray[np.uint8] | None, generator: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Return what a mask wrongly holds beside the object: a hole, a gap between its parts, a neighbour, or a stretch.

    Args:
        truth: The object, 0/1 (y, x).
        others: Other objects, 0/1 (y, x), or None where none are known.
        generator: Source of randomness.

    Returns:
        bool (y, x), one connected part of some cells, or None where there is none of the kind that was drawn.
    """
    inside = truth > 0
    kind = generator.integers(4)
    if kind == 0:
        found = ndimage.binary_fill_holes(inside) & ~inside
    elif kind == 1:
        reach = int(generator.integers(2, 9))
        found = ndimage.binary_closing(np.pad(inside, reach), iterations=reach)[reach:-reach, reach:-reach] & ~inside
    elif kind == 2 and others is not None and others.any():
        found = (others > 0) & ~inside
    else:
        place = np.argwhere(inside)[generator.integers(int(inside.sum()))]
        radius = generator.uniform(0.05, 0.2) * len(truth)
        y, x = np.ogrid[: truth.shape[0], : truth.shape[1]]
        found = (np.hypot(y - place[0], x - place[1]) < radius) & ~inside
    parts, count = ndimage.label(found)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    large = np.flatnonzero(sizes[1:] >= SMALLEST_MISTAKE) + 1
    if not len(large):
        return None
    return np.asarray(parts == large[generator.integers(len(large))])


SMALLEST_MISTAKE = 6
"""Cells of a part that anyone would click on."""
