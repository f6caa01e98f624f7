"""The prompt journal: an append-only list of events per object, from which everything else follows."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from bedside.core.errors import FormatError, InputError
from bedside.core.files import write_text_atomically
from bedside.core.labels import check_label
from bedside.core.prompts import Prompt
from bedside.session.stamp import ImageStamp
from bedside.session.stored_prompts import SINCE, MaskChain

FORMAT = "bedside-journal"
VERSION = 2
"""From the second on, a mask may be written as what it changes; where none is, a journal is still of the first."""

MAX_EVENTS = 1_000_000
"""Events that a journal file may hold: far more than hands can make, so that a hostile file ends early."""


@dataclass(frozen=True)
class Prompted:
    """A prompt was given.

    Attributes:
        id: Number of the prompt, unique within the session.
        prompt: What was drawn, in the frame it was drawn in.
        predict: Whether the model predicted at once; False for a prompt that waits for the next one.
    """

    id: int
    prompt: Prompt
    predict: bool = True
    event: ClassVar[str] = "prompt"

    def to_dict(self, chain: MaskChain | None = None) -> dict[str, Any]:
        """Return plain values, for JSON; a mask as what it changes of the last one in ``chain``, where that is less."""
        prompt = self.prompt.to_dict() if chain is None else chain.to_dict(self.prompt)
        return {"event": self.event, "id": self.id, "predict": self.predict, "prompt": prompt}


@dataclass(frozen=True)
class Removed:
    """The prompt numbered ``id`` was taken away, wherever it stood."""

    id: int
    event: ClassVar[str] = "remove"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"event": self.event, "id": self.id}


@dataclass(frozen=True)
class Undone:
    """The last prompt or removal in force was undone."""

    event: ClassVar[str] = "undo"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"event": self.event}


@dataclass(frozen=True)
class Redone:
    """The last undone prompt or removal was put back in force."""

    event: ClassVar[str] = "redo"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"event": self.event}


Event = Prompted | Removed | Undone | Redone


@dataclass(frozen=True)
class History:
    """What a list of events amounts to.

    Attributes:
        actions: Prompts and removals in force, oldest first.
        undone: Prompts and removals that ``redo`` would put back, the next one last.
    """

    actions: tuple[Prompted | Removed, ...] = ()
    undone: tuple[Prompted | Removed, ...] = ()

    @cached_property
    def prompts(self) -> tuple[Prompted, ...]:
        """The effective prompts, oldest first."""
        removed = {action.id for action in self.actions if isinstance(action, Removed)}
        return tuple(a for a in self.actions if isinstance(a, Prompted) and a.id not in removed)

    def after(self, event: Event) -> History:
        """The history once ``event`` has happened.

        Raises:
            InputError: There is nothing to undo, redo or remove, or a prompt's number is taken.
        """
        past = Past(self)
        past.take(event)
        return past.history


class Past:
    """Events taken one after the other, each checked in a time that does not grow with their number.

    Args:
        history: What came before.
    """

    def __init__(self, history: History | None = None) -> None:
        self._actions: list[Prompted | Removed] = list(history.actions) if history else []
        self._undone: list[Prompted | Removed] = list(history.undone) if history else []
        self._given = {action.id for action in self._actions if isinstance(action, Prompted)}
        self._removed = {action.id for action in self._actions if isinstance(action, Removed)}

    @property
    def history(self) -> History:
        """What the events amount to."""
        return History(tuple(self._actions), tuple(self._undone))

    def take(self, event: Event) -> None:
        """Let ``event`` happen.

        Undo steps back over prompts and removals alike, redo steps forward again, and a new prompt or removal forgets
        what was undone.

        Raises:
            InputError: It could not have happened: there is nothing to undo, redo or remove, or a prompt's number is
                taken.
        """
        match event:
            case Undone():
                if not self._actions:
                    raise InputError("nothing to undo")
                action = self._actions.pop()
                self._numbers(action).discard(action.id)
                self._undone.append(action)
            case Redone():
                if not self._undone:
                    raise InputError("nothing to redo")
                self._act(self._undone.pop())
            case Removed():
                if event.id not in self._given or event.id in self._removed:
                    numbers = [prompt.id for prompt in self.history.prompts]
                    raise InputError("prompt to remove", expected=f"one of {numbers}", got=event.id)
                self._undone.clear()
                self._act(event)
            case Prompted():
                if event.id in self._given:
                    raise InputError("prompt number", expected="each used once", got=f"{event.id} twice")
                self._undone.clear()
                self._act(event)

    def _act(self, action: Prompted | Removed) -> None:
        self._actions.append(action)
        self._numbers(action).add(action.id)

    def _numbers(self, action: Prompted | Removed) -> set[int]:
        return self._given if isinstance(action, Prompted) else self._removed


def history(events: Sequence[Event]) -> History:
    """Return what ``events`` amount to, oldest first.

    Raises:
        InputError: An event that could not have happened (see ``Past.take``).
    """
    past = Past()
    for event in events:
        past.take(event)
    return past.history


class Recorder(Protocol):
    """Keeps events before the masks that follow from them are made, so that whatever interrupts loses none."""

    def record(self, journal: ObjectJournal, event: Event) -> None:
        """Keep ``event`` as the next of an object; ``journal`` holds those before it."""
        ...

    def withdraw(self, journal: ObjectJournal) -> None:
        """Take back what was recorded last of an object, whose mask could not be made."""
        ...


@dataclass(frozen=True)
class ObjectJournal:
    """One object and everything that happened to it.

    Attributes:
        id: Number of the object, from 1, unique within the session.
        name: What the user calls it.
        colour: "#rrggbb" for drawing; None leaves it to the viewer.
        events: Oldest first.
        label: Its value in a label map, 1 to 65,535, which stays whatever becomes of other objects; None (a journal
            from before labels were kept, or written by hand) gives it one when the journal is opened.
    """

    id: int
    name: str
    colour: str | None = None
    events: tuple[Event, ...] = ()
    label: int | None = None

    def __post_init__(self) -> None:
        if self.colour is not None and not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise InputError("colour", expected="#rrggbb", got=repr(self.colour)[:80])
        if self.label is not None:
            check_label(self.label)

    def append(self, event: Event) -> ObjectJournal:
        """Return the same object with one event more."""
        return replace(self, events=(*self.events, event))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        label = {} if self.label is None else {"label": self.label}
        events = written_events(self.events)
        return {"id": self.id, "name": self.name, "colour": self.colour, **label, "events": events}


@dataclass(frozen=True)
class Journal:
    """A whole session as it is saved.

    Attributes:
        objects: In the order they were added.
        model: Name of the model that predicted; None leaves it to whoever opens the journal.
        image: What identifies the image; None (a journal written by hand) fits any image.
        current: Number of the object that prompts go to; None where there is no object.
    """

    objects: tuple[ObjectJournal, ...] = ()
    model: str | None = None
    image: ImageStamp | None = None
    current: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON, with the name and version of the format."""
        objects = [o.to_dict() for o in self.objects]
        changes = any(SINCE in event.get("prompt", {}) for item in objects for event in item["events"])
        return {
            "format": FORMAT,
            "version": VERSION if changes else 1,
            "model": self.model,
            "image": self.image.to_dict() if self.image else None,
            "current": self.current,
            "objects": objects,
        }

    @classmethod
    def from_dict(cls, data: object) -> Journal:
        """Return the inverse of ``to_dict``, which trusts nothing in ``data``.

        A journal written by hand may leave out everything but ``format``, ``version``, ``objects`` and in each
        object ``events``: objects and prompts are then numbered in order and every prompt is predicted at once.

        Raises:
            FormatError: A field is missing or of the wrong kind, or the events could not have happened.
        """
        fields = _mapping(data, "journal")
        if fields.get("format") != FORMAT:
            raise FormatError("journal", expected=f"the format '{FORMAT}'", got=repr(fields.get("format")))
        if fields.get("version") not in range(1, VERSION + 1):
            raise FormatError(
                "journal",
                expected=f"version 1 to {VERSION}",
                got=repr(fields.get("version")),
                fix="a newer Bedside may have written it",
            )
        stamp = fields.get("image")
        image = None if stamp is None else ImageStamp.from_dict(_mapping(stamp, "journal image"))
        objects = _objects_from_list(_list(fields.get("objects"), "journal objects"), image)
        current = fields.get("current")
        if current is None:
            current = objects[-1].id if objects else None
        elif current not in {o.id for o in objects}:
            raise FormatError(
                "journal's current object", expected="the number of one of its objects", got=repr(current)
            )
        return cls(objects, _optional_text(fields.get("model"), "journal model"), image, current)

    def save(self, path: str | Path) -> None:
        """Write the journal to ``path`` as JSON, atomically."""
        write_text_atomically(path, json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Journal:
        """Return the journal in the JSON file ``path``.

        Raises:
            FormatError: The file cannot be read, is not JSON, or is no journal.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise FormatError(f"cannot read the journal '{path}'", got=error.strerror or str(error)) from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"journal '{path}'", expected="JSON", got=str(error)) from error
        try:
            return cls.from_dict(data)
        except FormatError as error:
            raise FormatError(f"journal '{path}': {error}") from error


def written_events(events: Sequence[Event], before: Sequence[Event] = ()) -> list[dict[str, Any]]:
    """Return events of one object as plain values, for JSON; ``before`` are those that are written already."""
    chain, written = MaskChain(), []
    for number, event in enumerate((*before, *events)):
        if number >= len(before):
            written.append(event.to_dict(chain) if isinstance(event, Prompted) else event.to_dict())
        if isinstance(event, Prompted):
            chain.put(event.id, event.prompt)
    return written


def with_labels(objects: Sequence[ObjectJournal]) -> tuple[ObjectJournal, ...]:
    """Return the same objects, each with a label: one without takes that of its place, or the next that is free.

    Before labels were kept they were the places in the list, so an older journal gives the label map that it gave then.
    """
    taken = {item.label for item in objects if item.label is not None}
    labelled = []
    for place, item in enumerate(objects, start=1):
        label = item.label
        if label is None:
            label = next(n for n in range(place, place + len(objects) + len(taken) + 1) if n not in taken)
            taken.add(label)
        labelled.append(replace(item, label=label))
    return tuple(labelled)


class _Numbers:
    """Numbers of a session's prompts so far, and the highest."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.last = 0

    def take(self, number: int) -> None:
        self.taken.add(number)
        self.last = max(self.last, number)


def _objects_from_list(items: list[Any], image: ImageStamp | None) -> tuple[ObjectJournal, ...]:
    objects: list[ObjectJournal] = []
    used = _Numbers()
    numbers: set[int] = set()
    labels: set[int | None] = set()
    for position, item in enumerate(items, start=1):
        where = f"object {position}"
        fields = _mapping(item, where)
        number = _number(fields.get("id", position), f"{where}: id")
        if number in numbers:
            raise FormatError(f"{where}: id", expected="each used once", got=f"{number} twice")
        name = _optional_text(fields.get("name"), f"{where}: name") or f"object {number}"
        colour = _optional_text(fields.get("colour"), f"{where}: colour")
        events = _events_from_list(_list(fields.get("events"), f"{where}: events"), where, image, used)
        label = None if fields.get("label") is None else _number(fields["label"], f"{where}: label")
        if label is not None and label in labels:
            raise FormatError(f"{where}: label", expected="each used once", got=f"{label} twice")
        numbers.add(number)
        labels.add(label)
        try:
            objects.append(ObjectJournal(number, name, colour, events, label))
        except InputError as error:
            raise FormatError(f"{where}: {error}") from error
    return tuple(objects)


def _events_from_list(items: list[Any], where: str, image: ImageStamp | None, used: _Numbers) -> tuple[Event, ...]:
    """Return checked events of one object; ``used`` grows by the numbers of its prompts."""
    if len(items) > MAX_EVENTS:
        raise FormatError(f"{where}: events", expected=f"at most {MAX_EVENTS}", got=len(items))
    events: list[Event] = []
    past, chain = Past(), MaskChain()
    for position, item in enumerate(items, start=1):
        place = f"{where}, event {position}"
        event = _event_from_dict(_mapping(item, place), place, image, used.last + 1, chain)
        if isinstance(event, Prompted):
            chain.put(event.id, event.prompt)
            if event.id in used.taken:
                raise FormatError(f"{place}: id", expected="each used once", got=f"{event.id} twice")
            used.take(event.id)
        try:
            past.take(event)
        except InputError as error:
            raise FormatError(f"{place}: {error}") from error
        events.append(event)
    return tuple(events)


def _event_from_dict(
    fields: Mapping[str, Any], place: str, image: ImageStamp | None, next_id: int, chain: MaskChain
) -> Event:
    match fields.get("event"):
        case "prompt":
            predict = fields.get("predict", True)
            if not isinstance(predict, bool):
                raise FormatError(f"{place}: predict", expected="true or false", got=repr(predict))
            prompt = chain.from_dict(_mapping(fields.get("prompt"), f"{place}: prompt"), place, image)
            return Prompted(_number(fields.get("id", next_id), f"{place}: id"), prompt, predict)
        case "remove":
            return Removed(_number(fields.get("id"), f"{place}: id"))
        case "undo":
            return Undone()
        case "redo":
            return Redone()
        case other:
            raise FormatError(f"{place}", expected="an event prompt, undo, redo or remove", got=repr(other))


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FormatError(what, expected="a JSON object", got=type(value).__name__)
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(what, expected="a list", got=type(value).__name__)
    return value


def _number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**53:
        raise FormatError(what, expected="a whole number from 1", got=repr(value)[:80])
    return value


def _optional_text(value: object, what: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise FormatError(what, expected="text", got=repr(value)[:80])
    return value
