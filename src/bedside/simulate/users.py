"""The prompt of a given kind that a user draws first, or to correct what is there."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Point
from bedside.core.region import mask_region
from bedside.simulate.components import pick_centre
from bedside.simulate.error_parts import draw_error, draw_part
from bedside.simulate.placing import Drawn, shift_prompt
from bedside.simulate.slices import draw_box, flat_box, slice_lasso, slice_scribble

Kind = Literal["point", "box", "flat box", "scribble", "lasso"]
KINDS: tuple[Kind, ...] = ("point", "box", "flat box", "scribble", "lasso")
"""What a user may draw; in an image a flat box is a box, in a volume it lies on one slice."""
SHARPNESS = 8.0
"""Power of the depth by which clicks are drawn in nnInteractive's training."""


def first_prompt(kind: Kind, truth: NDArray[Any], generator: np.random.Generator) -> Drawn:
    """A positive prompt on an object: boxes, strokes and lassos on all of it, a click on one of its parts.

    Args:
        kind: What is drawn.
        truth: The object, (z, y, x) or (y, x), at least one voxel set.
        generator: Source of randomness.

    Raises:
        InputError: The object is empty or the kind unknown.
    """
    region = mask_region(truth)
    if region.is_empty:
        raise InputError("first prompt", expected="an object of at least one voxel", got="an empty mask")
    return shift_prompt(_draw(kind, truth[region.slices] != 0, generator, positive=True), region.start)


def correction(
    kind: Kind, truth: NDArray[Any], prediction: NDArray[Any], generator: np.random.Generator
) -> Drawn | None:
    """A prompt on one connected part of the error, with its sign; None where there is no error.

    Args:
        kind: What is drawn.
        truth: The object, (z, y, x) or (y, x).
        prediction: The mask to correct, of the same shape.
        generator: Draws the part with a probability proportional to its size, then the prompt.

    Raises:
        InputError: The kind is unknown.
    """
    part = draw_error(truth, prediction, generator)
    if part is None:
        return None
    return shift_prompt(_draw(kind, part.mask, generator, part.positive), part.region.start)


def _draw(kind: Kind, mask: NDArray[np.bool_], generator: np.random.Generator, positive: bool) -> Drawn:
    if kind == "point":
        part = draw_part(mask, generator)
        assert part is not None
        index = pick_centre(part.mask, generator, SHARPNESS)
        return shift_prompt(Point(tuple(map(float, index[::-1])), positive), part.region.start)
    if kind == "box":
        return draw_box(mask, generator, positive)
    if kind == "flat box":
        return flat_box(mask, generator, positive)
    if kind == "scribble":
        return slice_scribble(mask, generator, positive)
    if kind == "lasso":
        return slice_lasso(mask, generator, positive)
    raise InputError("kind of prompt", expected=f"one of {', '.join(KINDS)}", got=f"'{kind}'")
