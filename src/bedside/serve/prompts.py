"""Prompts as the page sends them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedside.core.errors import PromptError
from bedside.core.image import Image
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import prompt_from_dict

POINTS = 100_000
"""Vertices of a stroke or outline."""
_FARTHEST = 1e9
"""Voxels or millimetres beyond which a coordinate is a mistake, and arithmetic with it may overflow."""
_NESTED = 2
"""Lists within each other: those of points hold those of coordinates."""
_LISTS = ("position", "low", "high", "points")


def read_prompt(fields: Mapping[str, Any], image: Image) -> PlacedPrompt:
    """Return the prompt that the page sent, placed on the image, so that a wrong one never waits for the model.

    Raises:
        PromptError: It is no prompt, or misses the image.
    """
    for name in _LISTS:
        # Text is a sequence, too: "12" would pass for the coordinates 1 and 2.
        if name in fields and not (isinstance(fields[name], list) and _is_numbers(fields[name], _NESTED)):
            raise PromptError(f"prompt's '{name}'", expected="a list of ordinary numbers", got=repr(fields[name])[:80])
    if len(fields.get("points", ())) > POINTS:
        raise PromptError("prompt's 'points'", expected=f"at most {POINTS}", got=len(fields["points"]))
    # Checked before the mask is decoded: a shape made up could ask for any amount of memory.
    if fields.get("kind") == "mask" and fields.get("shape") != list(image.shape):
        raise PromptError("mask", expected=f"the shape {list(image.shape)}", got=repr(fields.get("shape"))[:80])
    try:
        return PlacedPrompt.of(prompt_from_dict(fields), image.geometry)
    except (ArithmeticError, MemoryError) as error:
        raise PromptError("prompt", expected="coordinates of an ordinary size", got=str(error)) from error


def _is_numbers(value: object, depth: int) -> bool:
    if isinstance(value, list):
        return depth > 0 and all(_is_numbers(item, depth - 1) for item in value)
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > _FARTHEST
