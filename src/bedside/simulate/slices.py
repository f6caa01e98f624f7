"""Prompts drawn on one slice of a volume, of any plane, as a user who scrolls to it would draw them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.prompts import Box, Lasso, Scribble
from bedside.core.region import mask_region
from bedside.simulate.boxes import jittered_box, tight_box
from bedside.simulate.components import pick_centre
from bedside.simulate.lassos import simulate_lasso
from bedside.simulate.placing import Drawn, lift_prompt, shift_prompt
from bedside.simulate.scribbles import simulate_scribble

ATTEMPTS = 8
"""Strokes tried on an object before a user settles for a dab at its centre."""
OUTSIDE = 0.12
"""Part of a stroke that may lie beside the object; the figure is that of a published trainer."""
Draw = Callable[[NDArray[np.bool_], np.random.Generator, bool], Drawn]
"""``draw(plane, generator, positive)``: a prompt on a mask (y, x) that is not empty."""


def draw_slice(mask: NDArray[Any], generator: np.random.Generator, axes: Sequence[int] = (0, 1, 2)) -> tuple[int, int]:
    """Return a plane and a slice of it, drawn with a probability proportional to the object's area on the slice.

    Args:
        mask: The object (z, y, x).
        generator: Source of randomness.
        axes: Axes (array order) across which slices may lie.

    Returns:
        The axis across which the slice lies, and its index.

    Raises:
        PromptError: The object is empty.
    """
    areas = [mask.astype(bool, copy=False).sum(axis=tuple(a for a in range(3) if a != axis)) for axis in axes]
    weights = np.concatenate(areas).astype(np.float64)
    if not weights.any():
        raise PromptError("slice of an object", expected="at least one voxel", got="an empty mask")
    choice = int(generator.choice(len(weights), p=weights / weights.sum()))
    for axis, area in zip(axes, areas, strict=True):
        if choice < len(area):
            return axis, choice
        choice -= len(area)
    raise AssertionError("the choice lies among the slices")


def draw_on_slice(
    mask: NDArray[Any],
    generator: np.random.Generator,
    draw: Draw,
    positive: bool = True,
    axes: Sequence[int] = (0, 1, 2),
) -> Drawn:
    """Return a prompt on a drawn slice of a volume, or on an image as it is.

    Args:
        mask: The object, (z, y, x) or (y, x), at least one voxel set.
        generator: Source of randomness.
        draw: What is drawn on the slice.
        positive: Sign of the prompt.
        axes: Axes across which slices may lie.

    Returns:
        The prompt in the frame ``index`` of ``mask``.
    """
    if mask.ndim == 2:
        return draw(mask != 0, generator, positive)
    # Areas are counted within the object's extent: of a whole scan most slices hold nothing.
    region = mask_region(mask)
    part = mask[region.slices]
    axis, index = draw_slice(part, generator, axes)
    prompt = draw(np.take(part, index, axis) != 0, generator, positive)
    return shift_prompt(lift_prompt(prompt, axis, index), region.start)


def draw_box(plane: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Box:
    """Return the tight box of an object, in two or three dimensions, with each face moved on its own."""
    tight = tight_box(plane)
    return jittered_box(Box(tight.low, tight.high, positive), generator)


def draw_scribble(plane: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Scribble:
    """Return a line, centre or contour scribble that keeps to an object of any shape, its middle on it.

    Args:
        plane: The object (y, x), at least one pixel set.
        generator: Source of randomness.
        positive: Sign of the scribble.
    """
    for _ in range(ATTEMPTS):
        scribble = simulate_scribble(plane, generator, positive)
        held = plane[_trace(scribble)] != 0
        if held.mean() >= 1 - OUTSIDE and held[len(held) // 2]:
            return scribble
    y, x = pick_centre(plane != 0, generator)
    return Scribble(((float(x), float(y)),), positive)


def _trace(scribble: Scribble) -> tuple[NDArray[np.int64], ...]:
    """Return the pixels that a stroke passes through, from end to end."""
    points = scribble.vertices()[:, ::-1]
    steps = [max(1, int(np.ceil(2 * np.abs(b - a).max()))) for a, b in pairwise(points)]
    parts = [np.linspace(a, b, n, endpoint=False) for (a, b), n in zip(pairwise(points), steps, strict=True)]
    return tuple(np.floor(np.concatenate([*parts, points[-1:]]) + 0.5).astype(np.int64).T)


def flat_box(mask: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Box:
    """Return a box on one slice of any plane, its faces within the slice moved each on its own; see
    ``draw_on_slice``.
    """
    box = draw_on_slice(mask, generator, draw_box, positive)
    assert isinstance(box, Box)
    return box


def middle_box(mask: NDArray[Any], axis: int = 0) -> Box:
    """Return the tight box of a volume's object on the slice across ``axis`` where its area is largest.

    Raises:
        PromptError: The object is empty.
    """
    areas = (mask != 0).sum(axis=tuple(a for a in range(3) if a != axis))
    index = int(areas.argmax())
    box = lift_prompt(tight_box(np.take(mask, index, axis)), axis, index)
    assert isinstance(box, Box)
    return box


def slice_scribble(mask: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Scribble:
    """Return a line, centre or contour scribble on one slice of any plane; see ``draw_on_slice`` and
    ``draw_scribble``.
    """
    scribble = draw_on_slice(mask, generator, draw_scribble, positive)
    assert isinstance(scribble, Scribble)
    return scribble


def slice_lasso(mask: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Lasso:
    """Return a lasso on one slice of any plane; see ``draw_on_slice``."""
    lasso = draw_on_slice(mask, generator, simulate_lasso, positive)
    assert isinstance(lasso, Lasso)
    return lasso
