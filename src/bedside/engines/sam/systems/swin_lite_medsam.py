"""Swin-LiteMedSAM: with every box go four points, one in each quarter of it, and a scribble within it.

The published code draws both from the global generator, so that a prediction depends on what was asked before. Here
they are drawn from the slice's content and the box: the same box on the same slice has the same prompts, in any order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.engines.sam.system import Corners, System, View
from bedside.simulate.strokes import Rectangle, stroke_within

SEED = 42


def prompts(view: View, corners: Corners, on_grid: Corners) -> Mapping[str, NDArray[Any]]:
    """Return the four points and the scribble of a box, on the grid."""
    del corners
    generator = content_generator(view.pixels, on_grid)
    visible = view.pixels.mean(axis=0) > 0
    points = quadrant_points(visible, on_grid, generator)
    return {"points": points[None], "scribble": box_scribble(visible, on_grid, generator)[None, None]}


def content_generator(pixels: NDArray[np.float32], corners: Corners) -> np.random.Generator:
    """Return a generator that depends on what a slice shows and on the box, and on nothing else."""
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16)
    digest.update(np.asarray(corners, dtype=np.float64).tobytes())
    return np.random.default_rng([SEED, int.from_bytes(digest.digest(), "little")])


def quadrant_points(
    visible: NDArray[np.bool_], corners: Corners, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return a point in each quarter of a box, (4, 2) as (x, y), drawn among the visible pixels of the box's middle
    part.

    The box is shrunk on every side by a fifth to a half of its length; its quarters are those of the whole box. In each
    quarter x and y are drawn independently of each other from the coordinates of the visible pixels, so that a point
    may miss them. A quarter without any gives the centre of the box.
    """
    x0, y0, x1, y1 = corners
    left, top, right, bottom = _shrunk(corners, (1 / 5, 1 / 2), generator)
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    split_x = int(np.clip(np.ceil(middle_x), left, right))
    split_y = int(np.clip(np.ceil(middle_y), top, bottom))
    points = []
    for rows in ((top, split_y), (split_y, bottom)):
        for columns in ((left, split_x), (split_x, right)):
            ys, xs = np.nonzero(visible[slice(*rows), slice(*columns)])
            if xs.size == 0:
                points.append((middle_x, middle_y))
            else:
                points.append((columns[0] + float(generator.choice(xs)), rows[0] + float(generator.choice(ys))))
    return np.asarray(points, dtype=np.float32)


def box_scribble(visible: NDArray[np.bool_], corners: Corners, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a random stroke over the visible pixels of a box's middle part, 0 and 1 on the grid; empty if all attempts
    fail.

    The middle part is the box shrunk on every side by an eighth to a sixth of its length.
    """
    left, top, right, bottom = _shrunk(corners, (1 / 8, 1 / 6), generator)
    allowed = np.zeros_like(visible)
    allowed[top:bottom, left:right] = visible[top:bottom, left:right]
    return stroke_within(allowed, (left, top, right, bottom), generator)


def _shrunk(corners: Corners, shares: tuple[float, float], generator: np.random.Generator) -> Rectangle:
    """Return a box in whole pixels, each axis shrunk on both sides by as much as the generator says, one pixel at
    least.
    """
    spans = []
    for first, last in ((corners[0], corners[2]), (corners[1], corners[3])):
        length = last - first
        least = int(length * shares[0])
        most = max(least + 1, int(length * shares[1]) - (1 if shares[1] == 1 / 2 else 0))
        step = int(generator.integers(least, most))
        low = max(0, int(first) + step)
        spans.append((low, max(low + 1, int(last) - step)))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


SYSTEM = System("swin-lite-medsam", side=256, first_slice=False, last_slice=False, prompter=prompts)
