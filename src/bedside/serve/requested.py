"""Requests that state all prompts of an object each time: what is new is added to it, what is missing taken away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import Prompt
from bedside.serve.messages import Change
from bedside.serve.opened import OpenImage
from bedside.serve.service import Service

_KINDS = frozenset({"point", "box"})
"""Prompts of objects that such requests make; one that the page's user has painted on is left alone."""


async def answer(service: Service, image: int, name: str, prompts: Sequence[Prompt]) -> int:
    """Make the prompts of an image's object just these; returns the object's number.

    The object is the youngest of that name that has only such prompts. One is begun where there is none, or where the
    prompts that would stay cannot begin one. It is in the workspace, as every other: the page shows and undoes it.

    Args:
        service: The sessions.
        image: Number of the image.
        name: Of the object.
        prompts: All of them, the oldest first.

    Raises:
        BedsideError: Image or model cannot take one of them; nothing has changed then.
    """
    opened = await service.hub.get(image)
    placed = [PlacedPrompt.of(prompt, opened.image.geometry) for prompt in prompts]
    wanted = {_key(prompt.given): prompt for prompt in placed}
    number = _object(opened, name)
    entries = () if number is None else opened.snapshot.object(number).prompts
    kept = [entry for entry in entries if _key(entry.prompt) in wanted]
    if number is None or not any(entry.prompt.positive for entry in kept):
        first, *fresh = wanted.values()

        def begin(opened: OpenImage) -> Change:
            return opened.begin_with(name, first, not fresh)

        begun: Change = await service.hub.change(image, begin, asks=True)
        assert begun.object is not None
        number = begun.object
    else:
        for entry in entries:
            if entry not in kept:
                await service.hub.change(image, partial(_without, gone=entry.id), asks=True)
        known = {_key(entry.prompt) for entry in kept}
        fresh = [prompt for key, prompt in wanted.items() if key not in known]
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
        if seen.info.name == name and seen.prompts and all(entry.prompt.kind in _KINDS for entry in seen.prompts):
            return number
    return None


def _key(prompt: Prompt) -> str:
    return json.dumps(prompt.to_dict(), sort_keys=True)
