"""Objects of a session changed from outside its prompts: begun under a number, renamed, removed, brushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.mask import PackedMask
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import InitialMask, Prompt
from bedside.core.region import Region
from bedside.session.journal import History, ObjectJournal, Prompted, history
from bedside.session.objects import ObjectState, SessionObject
from bedside.session.session import Session
from bedside.session.stamp import ImageStamp


def begin_object(
    session: Session, number: int, name: str | None = None, colour: str | None = None, label: int | None = None
) -> SessionObject:
    """Begin an object under a number of the caller's choice; it becomes the current one.

    Raises:
        InputError: The number or the label is taken, or the colour is not of the form #rrggbb.
    """
    if number in session._states:
        raise InputError("object", expected="a number that is free", got=number)
    journal = ObjectJournal(number, name or f"object {number}", colour, (), session._free_label(label))
    session._states[number] = ObjectState(journal, History(), PackedMask.empty(session.image.ndim))
    session._current = number
    return session.objects[-1]


def change_object(session: Session, number: int, name: str | None = None, colour: str | None = None) -> None:
    """Give an object another name or colour.

    Raises:
        InputError: There is no such object, or the colour is not of the form #rrggbb.
    """
    state = session._state(number)
    journal = replace(state.journal, name=name or state.journal.name, colour=colour or state.journal.colour)
    session._states[number] = replace(state, journal=journal)


def remove_object(session: Session, number: int, *, never_was: bool = False) -> None:
    """Take an object away with all its prompts; the last one left becomes the current one.

    Args:
        session: The session.
        number: The object.
        never_was: It was begun for a prompt that failed, so that its label may be given again.

    Raises:
        InputError: There is no such object.
    """
    label = session._state(number).journal.label or 0
    if not never_was:
        session._last_label = max(session._last_label, label)
    del session._states[number]
    if session._current == number:
        session._current = next(reversed(session._states), None)


def take_back(session: Session, number: int) -> None:
    """Take back the last prompt of an object, which waits for an answer, as if it had never been given.

    Raises:
        InputError: There is no such object.
    """
    state = session._state(number)
    journal = replace(state.journal, events=state.journal.events[:-1])
    if session._recorder is not None:
        session._recorder.withdraw(journal)
    session._states[number] = replace(state, journal=journal, history=history(journal.events))


def check_prompt(session: Session, prompt: Prompt | PlacedPrompt) -> PlacedPrompt:
    """Make sure that the image and the model take a prompt, without asking the model.

    Returns:
        The prompt on the image's grid.

    Raises:
        PromptError: They do not.
    """
    return session._place(prompt)


def can_answer(session: Session, number: int | None, prompts: Sequence[Prompt]) -> bool:
    """Return whether ``prompts``, predicted together, can begin the object or find it begun."""
    state = session._state(number) if number is not None else None
    before = state.history.prompts if state else ()
    events = [Prompted(-place, prompt) for place, prompt in enumerate(prompts, start=1)]
    try:
        session._answers.check_start([*before, *events], state.mask if state else PackedMask.empty(session.image.ndim))
    except PromptError:
        return False
    return True


def object_journals(session: Session) -> list[ObjectJournal]:
    """Return every object with everything that happened to it, the oldest first."""
    return [state.journal for state in session._states.values()]


def object_prompts(session: Session, number: int) -> tuple[Prompted, ...]:
    """Return the prompts in force of an object, oldest first."""
    return session._state(number).history.prompts


def packed_mask(session: Session, number: int) -> PackedMask:
    """Return the mask of an object as it is kept; it does not change."""
    return session._state(number).mask


def brushed(session: Session, number: int | None, region: Region, patch: NDArray[Any]) -> InitialMask:
    """Return the prompt that makes an object's mask ``patch`` within ``region`` and leaves it as it is outside.

    Args:
        session: The session.
        number: The object; None for one that is still to be begun.
        region: Where to paint, within the image.
        patch: Patch of the region's shape; the object where it is not zero.

    Raises:
        InputError: The region does not lie within the image, the patch has another shape, or there is no such object.
    """
    shape = session.image.shape
    if len(region.start) != len(shape) or region.is_empty or region.clip(shape) != region:
        raise InputError("brush", expected=f"a box within the shape {shape}", got=(region.start, region.stop))
    if patch.shape != region.shape:
        raise InputError("brush", expected=f"a mask of the box's shape {region.shape}", got=patch.shape)
    before = packed_mask(session, number) if number is not None else PackedMask.empty(len(shape))
    union = before.region.union(region)
    mask = before.patch(union) if not before.region.is_empty else np.zeros(union.shape, dtype=np.uint8)
    mask[region.shift([-a for a in union.start]).slices] = patch != 0
    return InitialMask.of_patch(mask, union, shape)


def label_objects_after(session: Session, last: int) -> None:
    """Make sure that no object to come has a label up to ``last`` by itself, which removed objects had."""
    session._last_label = max(session._last_label, last)


def number_prompts_after(session: Session, last: int) -> None:
    """Make sure that no prompt to come has a number up to ``last``, which those of removed objects had."""
    session._last_prompt = max(session._last_prompt, last)


def identify(session: Session, stamp: ImageStamp) -> None:
    """Tell a session what identifies its image, where that is known, so that the samples are not read for it again."""
    session.__dict__["_stamp"] = stamp
