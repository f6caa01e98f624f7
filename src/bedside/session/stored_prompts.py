"""Prompts as a journal holds them: each as it is, and a mask that follows another as what it changed of that one.

Every stroke of a brush gives a mask. Written whole, hundreds of strokes on one object are as many copies of it; what a
stroke changes is small and has a small box.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedside.core.errors import BedsideError, FormatError
from bedside.core.initial_mask import InitialMask
from bedside.core.prompts import Prompt, prompt_from_dict
from bedside.session.stamp import ImageStamp

SINCE = "since"
"""Field of a mask's record: the number of the prompt whose mask it changes; its bits are the voxels that differ."""


class MaskChain:
    """The masks among the prompts of one object, in the order of its events, each the one that the next may change.

    Undoing or removing a prompt takes nothing from it: the events stay where they are.
    """

    def __init__(self) -> None:
        self._masks: dict[int, InitialMask] = {}
        self._last: int | None = None

    def put(self, number: int, prompt: Prompt) -> None:
        """Take the prompt of an event, of any kind."""
        if isinstance(prompt, InitialMask):
            self._masks[number] = prompt
            self._last = number

    def to_dict(self, prompt: Prompt) -> dict[str, Any]:
        """Return plain values of a prompt that follows, for JSON: of a mask the shorter of itself and its changes."""
        whole = prompt.to_dict()
        before = self._masks.get(self._last) if self._last is not None else None
        if not isinstance(prompt, InitialMask) or before is None or before.shape != prompt.shape:
            return whole
        changes = prompt.differing(before).to_dict()
        return {**changes, SINCE: self._last} if len(changes["bits"]) < len(whole["bits"]) else whole

    def from_dict(self, fields: Mapping[str, Any], place: str, image: ImageStamp | None) -> Prompt:
        """Return the inverse of ``to_dict``, which trusts nothing in ``fields``.

        Args:
            fields: The record.
            place: What errors call it.
            image: The image that the journal says it belongs to.

        Raises:
            FormatError: It is no prompt, is not of the image, or changes a mask that there is not.
        """
        # Text is a sequence, too: "12" would pass for the coordinates 1 and 2.
        for name in ("position", "low", "high"):
            if name in fields and not isinstance(fields[name], list):
                raise FormatError(f"{place}: {name}", expected="a list", got=type(fields[name]).__name__)
        # Checked before the mask is decoded: a shape made up by a hostile file could ask for any amount of memory.
        if fields.get("kind") == "mask" and image is not None and fields.get("shape") != list(image.geometry.shape):
            raise FormatError(
                f"{place}: mask", expected=f"the shape {list(image.geometry.shape)}", got=repr(fields.get("shape"))[:80]
            )
        try:
            prompt = prompt_from_dict(fields)
        except (BedsideError, ArithmeticError, AttributeError, MemoryError) as error:
            raise FormatError(f"{place}: {error}") from error
        if SINCE not in fields or not isinstance(prompt, InitialMask):
            return prompt
        since = fields[SINCE]
        before = self._masks.get(since) if isinstance(since, int) else None
        if before is None or before.shape != prompt.shape:
            raise FormatError(
                f"{place}: {SINCE}", expected="the number of an earlier mask of the object", got=repr(since)[:80]
            )
        return prompt.differing(before)
