"""Requests that state all prompts of an object each time: what is new is added to it, what is missing taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import Coordinates, Prompt, Scribble
from bedside.serve.messages import Change
from bedside.serve.opened import OpenImage
from bedside.serve.service import Service

CLICKS = frozenset({"point", "box"})
"""Kinds of prompts that a request with clicks states."""
PAINTED = frozenset({"scribble", "box"})
"""Kinds of prompts that a request with a label map states."""


async def answer(service: Service, image: int, name: str, prompts: Sequence[Prompt], states: frozenset[str]) -> int:
    """Make the prompts of an image's object, as far as the request states them, just these; returns its number.

    The object is the youngest of that name that has only prompts of such requests. Prompts of kinds that the request
    does not state stay: scribbles go on from clicks. Of painted voxels, those that are new are one more scribble.
    Another object is begun where there is none, where none of the object's prompts of the stated kinds is stated
    again, or where those that would stay cannot begin one. It is in the workspace, as every other: the page shows and
    undoes it.

    Args:
        service: The sessions.
        image: Number of the image.
        name: Of the object.
        prompts: All of them of the stated kinds, the oldest first; at most one scribble of each sign.
        states: Kinds of prompts that the request states.

    Raises:
        BedsideError: Image or model cannot take one of them; nothing has changed then.
    """
    opened = await service.hub.get(image)
    geometry = opened.image.geometry
    placed = [PlacedPrompt.of(prompt, geometry) for prompt in dict.fromkeys(prompts)]
    number = _object(opened, name)
    entries = () if number is None else opened.snapshot.object(number).prompts
    kept = [entry for entry in entries if entry.prompt.kind not in states or _is_in(entry.prompt, prompts)]
    stated = [entry for entry in entries if entry.prompt.kind in states]
    goes_on = any(entry.prompt.positive for entry in kept) and (not stated or any(entry in kept for entry in stated))
    if number is None or not goes_on:
        first, *fresh = placed

        def begin(opened: OpenImage) -> Change:
            return opened.begin_with(name, first, not fresh)

        begun: Change = await service.hub.change(image, begin, asks=True)
        assert begun.object is not None
        number = begun.object
    else:
        for entry in entries:
            if entry not in kept:
                await service.hub.change(image, partial(_without, gone=entry.id), asks=True)
        left = [_beyond(prompt.given, [entry.prompt for entry in kept]) for prompt in placed]
        fresh = [PlacedPrompt.of(prompt, geometry) for prompt in left if prompt is not None]
    target = number

    def add(opened: OpenImage) -> Change:
        outcomes = opened.add_prompts(target, [(prompt, True) for prompt in fresh], 0.0)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        assert isinstance(outcomes[-1], Change)
        return outcomes[-1]

    if fresh:
        await service.hub.change(image, add, asks=True)
    return number


def _without(opened: OpenImage, gone: int) -> Change:
    return opened.remove_prompt(gone)


def _object(opened: OpenImage, name: str) -> int | None:
    for number, seen in reversed(list(opened.snapshot.seen.items())):
        if seen.info.name == name and seen.prompts and all(_is_stated(entry.prompt) for entry in seen.prompts):
            return number
    return None


def _is_stated(prompt: Prompt) -> bool:
    """Return whether a request may have stated it; an object that the page's user has drawn on is left alone."""
    return prompt.kind in CLICKS or _painted(prompt) is not None


def _painted(prompt: Prompt) -> frozenset[Coordinates] | None:
    """Return the voxels of a scribble that is a set of them; None for any other prompt."""
    if isinstance(prompt, Scribble) and not prompt.connected and prompt.frame == "index":
        return frozenset(prompt.points)
    return None


def _is_in(prompt: Prompt, wanted: Sequence[Prompt]) -> bool:
    """Return whether a prompt is one of those that are wanted, or part of one."""
    voxels = _painted(prompt)
    if voxels is None:
        return prompt in wanted
    alike = (_painted(other) for other in wanted if other.positive == prompt.positive)
    return any(other is not None and voxels <= other for other in alike)


def _beyond(prompt: Prompt, kept: Sequence[Prompt]) -> Prompt | None:
    """Return what of a prompt the kept ones do not say; None where that is nothing."""
    voxels = _painted(prompt)
    if voxels is None or not isinstance(prompt, Scribble):
        return None if prompt in kept else prompt
    for other in kept:
        if other.positive == prompt.positive:
            voxels -= _painted(other) or frozenset()
    new = tuple(point for point in prompt.points if point in voxels)
    return replace(prompt, points=new) if new else None
