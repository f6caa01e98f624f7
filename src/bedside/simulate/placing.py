"""Prompts that were made in a crop or on a slice, moved to where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bedside.core.errors import InputError
from bedside.core.prompts import Box, Lasso, Point, Prompt, Scribble

Drawn = Point | Box | Scribble | Lasso
"""What a user can draw; a mask comes from elsewhere."""


def shift_prompt(prompt: Prompt, offset: Sequence[int]) -> Drawn:
    """Return a prompt made in a crop, moved to the image.

    Args:
        prompt: A point, box, scribble or lasso in the frame ``index``.
        offset: Where the crop starts, array order.

    Raises:
        InputError: It is a mask.
    """
    step = tuple(offset)[::-1]

    def moved(position: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(p + s for p, s in zip(position, step, strict=True))

    if isinstance(prompt, Point):
        return replace(prompt, position=moved(prompt.position))
    if isinstance(prompt, Box):
        return replace(prompt, low=moved(prompt.low), high=moved(prompt.high))
    if isinstance(prompt, Scribble | Lasso):
        return replace(prompt, points=tuple(moved(p) for p in prompt.points))
    raise InputError("simulated prompt", expected="a point, box, scribble or lasso", got=prompt.kind)


def lift_prompt(prompt: Drawn, axis: int, index: int) -> Drawn:
    """Return a prompt of two dimensions, drawn on one slice of a volume, in three; a box is one voxel thick.

    Args:
        prompt: In the frame ``index`` of the slice.
        axis: Axis of the volume (array order) across which the slice lies.
        index: Which slice.
    """
    place = 2 - axis

    def lifted(position: tuple[float, ...], height: float) -> tuple[float, ...]:
        return (*position[:place], height, *position[place:])

    if isinstance(prompt, Point):
        return replace(prompt, position=lifted(prompt.position, float(index)))
    if isinstance(prompt, Box):
        return replace(prompt, low=lifted(prompt.low, float(index)), high=lifted(prompt.high, float(index + 1)))
    return replace(prompt, points=tuple(lifted(p, float(index)) for p in prompt.points))
