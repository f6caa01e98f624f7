"""Simulated lassos: outlines drawn around an object on an image or on one slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Lasso
from bedside.core.region import mask_region
from bedside.simulate.scribbles import lasso_region

LARGEST_MARGIN = 0.6
"""How far a lasso may reach beyond its object, in parts of the object's longer side."""


def simulate_lasso(
    truth: NDArray[Any], generator: np.random.Generator, positive: bool = True, looseness: float = 0.15
) -> Lasso:
    """Return an outline around an object, drawn in a hurry: closed, a little too wide, uneven.

    Args:
        truth: The object (y, x), at least one pixel set.
        generator: Source of randomness.
        positive: Sign of the lasso.
        looseness: See ``scribbles.lasso_region``.
    """
    region = mask_region(truth)
    # Its surroundings are enough to draw in; an outline may leave the image, as a hand may.
    margin = 2 + int(LARGEST_MARGIN * max(region.shape))
    padded = np.pad(truth[region.slices] != 0, margin)
    area = lasso_region(padded, generator, looseness)
    if not area.any():
        # An object of a few pixels may vanish under the unevenness.
        area = ndimage.binary_dilation(padded, np.ones((3, 3), dtype=bool))
    corners = outline(area) + np.array(region.start) - margin
    low, high = np.full(2, -0.5), np.array(truth.shape) - 0.5
    return Lasso(tuple((float(x), float(y)) for y, x in np.clip(corners, low, high)), positive)


def outline(mask: NDArray[Any]) -> NDArray[np.float64]:
    """Return the border of a mask's largest part, its holes filled, as a closed polygon along the pixels' edges.

    Args:
        mask: (y, x), at least one pixel set.

    Returns:
        Corners (n, 2) in array order, the centre of the first pixel at 0; the last is joined to the first.
    """
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    part = np.pad(ndimage.binary_fill_holes(labels == int(sizes.argmax())), 1)
    following = _edges(part)
    start = min(following)
    corners: list[tuple[int, int]] = []
    position, heading = start, (0, 1)
    while True:
        step = _turn(following[position], heading)
        if step != heading or not corners:
            corners.append(position)
        position, heading = (position[0] + step[0], position[1] + step[1]), step
        if position == start:
            break
    # The padding moved pixels by one, and corners lie half a pixel before the centres.
    return np.array(corners, dtype=np.float64) - 1.5


def _edges(part: NDArray[np.bool_]) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return steps along the pixels' edges that keep the mask on the right hand, by the corner that they begin at."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    above = part[1:] & ~part[:-1]
    below = part[:-1] & ~part[1:]
    left = part[:, 1:] & ~part[:, :-1]
    right = part[:, :-1] & ~part[:, 1:]
    for edges, shift, step in (
        (above, (1, 0), (0, 1)),
        (below, (1, 1), (0, -1)),
        (left, (1, 1), (-1, 0)),
        (right, (0, 1), (1, 0)),
    ):
        for y, x in np.argwhere(edges):
            following.setdefault((int(y) + shift[0], int(x) + shift[1]), []).append(step)
    return following


def _turn(steps: list[tuple[int, int]], heading: tuple[int, int]) -> tuple[int, int]:
    """Return the next step; where two pixels touch by a corner, the one that stays at the same pixel: a right turn."""
    if len(steps) == 1:
        return steps[0]
    return next(step for step in steps if step == (heading[1], -heading[0]))
