from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Scribble
from bedside.session.journal import (
    Event,
    History,
    Journal,
    ObjectJournal,
    Prompted,
    Redone,
    Removed,
    Undone,
    history,
)
from bedside.session.stamp import ImageStamp

MASK = InitialMask(np.eye(3, 4, dtype=bool))
PROMPTS = [
    Point((1, 2)),
    Point((1.5, 2), positive=False, frame="world"),
    Box((0, 0), (3, 3)),
    Scribble(((0, 0), (1, 1)), thickness=3),
    Lasso(((0, 0), (3, 0), (3, 3)), positive=False),
    MASK,
]


@st.composite
def possible_events(draw: st.DrawFn) -> list[Event]:
    """Events that could have happened, made by playing them one by one."""
    events: list[Event] = []
    number = 0
    for choice in draw(st.lists(st.sampled_from(["prompt", "prompt", "undo", "redo", "remove"]), max_size=25)):
        state = history(events)
        if choice == "prompt":
            number += 1
            events.append(Prompted(number, draw(st.sampled_from(PROMPTS)), draw(st.booleans())))
        elif choice == "undo" and state.actions:
            events.append(Undone())
        elif choice == "redo" and state.undone:
            events.append(Redone())
        elif choice == "remove" and state.prompts:
            events.append(Removed(draw(st.sampled_from([p.id for p in state.prompts]))))
    return events


def numbers(events: list[Event]) -> list[int]:
    return [p.id for p in history(events).prompts]


@given(possible_events())
def test_undo_then_redo_changes_nothing(events: list[Event]) -> None:
    if history(events).actions:
        assert history([*events, Undone(), Redone()]) == history(events)


@given(possible_events())
def test_redo_then_undo_changes_nothing(events: list[Event]) -> None:
    if history(events).undone:
        assert history([*events, Redone(), Undone()]) == history(events)


@given(possible_events())
def test_a_prompt_is_undone_exactly_and_clears_redo(events: list[Event]) -> None:
    added = [*events, Prompted(1000, PROMPTS[0])]
    assert numbers(added) == [*numbers(events), 1000]
    assert history(added).undone == ()
    assert numbers([*added, Undone()]) == numbers(events)


@given(possible_events(), st.data())
def test_a_removal_takes_one_prompt_and_is_undone_exactly(events: list[Event], data: st.DataObject) -> None:
    before = numbers(events)
    if before:
        chosen = data.draw(st.sampled_from(before))
        removed = [*events, Removed(chosen)]
        assert numbers(removed) == [n for n in before if n != chosen]
        assert numbers([*removed, Undone()]) == before
        assert history(removed).undone == ()


@given(possible_events())
def test_undoing_everything_leaves_nothing_and_redoing_everything_restores_all(events: list[Event]) -> None:
    depth = len(history(events).actions)
    undone = [*events, *[Undone()] * depth]
    assert history(undone).prompts == ()
    assert history([*undone, *[Redone()] * depth]).prompts == history(events).prompts


@given(possible_events())
def test_prompts_in_force_keep_the_order_of_their_numbers(events: list[Event]) -> None:
    assert numbers(events) == sorted(numbers(events))


def test_impossible_events_are_rejected() -> None:
    point = Prompted(1, PROMPTS[0])
    for events in ([Undone()], [Redone()], [Removed(1)], [point, point], [point, Undone(), Removed(1)]):
        with pytest.raises(InputError):
            history(events)
    with pytest.raises(InputError, match="nothing to redo"):
        history([point, Undone(), Prompted(2, PROMPTS[0]), Redone()])


@given(possible_events(), st.none() | st.just("#00ff7f"))
def test_a_journal_comes_back_from_json_as_it_was(events: list[Event], colour: str | None) -> None:
    other = ObjectJournal(7, "löwer", None, (Prompted(2000, PROMPTS[0]),))
    journal = Journal((ObjectJournal(1, "liver", colour, tuple(events)), other), "bedside-2d", None, 7)
    assert Journal.from_dict(json.loads(json.dumps(journal.to_dict()))) == journal


def test_a_journal_written_by_hand_is_numbered() -> None:
    point = {"event": "prompt", "prompt": {"kind": "point", "position": [1, 2]}}
    journal = Journal.from_dict(
        {"format": "bedside-journal", "version": 1, "objects": [{"events": [point, point]}, {"events": [point]}]}
    )
    assert [(o.id, o.name) for o in journal.objects] == [(1, "object 1"), (2, "object 2")]
    assert [e.id for o in journal.objects for e in o.events if isinstance(e, Prompted)] == [1, 2, 3]
    assert all(e.predict for o in journal.objects for e in o.events if isinstance(e, Prompted))
    assert journal.current == 2


def document(**changes: Any) -> dict[str, Any]:
    journal = Journal((ObjectJournal(1, "a", None, (Prompted(1, Point((1, 2))), Undone())),), "m", None, 1)
    return {**journal.to_dict(), **changes}


def with_event(event: object) -> dict[str, Any]:
    return document(objects=[{"id": 1, "name": "a", "events": [event]}])


def prompt_event(**prompt: Any) -> dict[str, Any]:
    return with_event({"event": "prompt", "id": 1, "prompt": {"kind": "point", "position": [1, 2], **prompt}})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "JSON object"),
        (document(format="other"), "'bedside-journal'"),
        (document(version=3), "newer Bedside"),
        (document(objects={}), "journal objects"),
        (document(objects=[3]), "object 1"),
        (document(objects=[{"events": []}, {"id": 1, "events": []}]), "1 twice"),
        (document(objects=[{"id": 0, "events": []}]), "whole number from 1"),
        (document(objects=[{"id": True, "events": []}]), "whole number from 1"),
        (document(objects=[{"name": 4, "events": []}]), "name"),
        (document(objects=[{"colour": "red", "events": []}]), "#rrggbb"),
        (document(current=5), "current object"),
        (document(model=5), "journal model"),
        (document(image={"sha256": "x"}), "journal image"),
        (with_event({"event": "undo"}), "nothing to undo"),
        (with_event({"event": "explode"}), "prompt, undo, redo or remove"),
        (with_event({"event": "remove", "id": "1"}), "whole number"),
        (with_event({"event": "prompt", "id": 1, "predict": 1, "prompt": {}}), "true or false"),
        (prompt_event(kind="wand"), "'wand'"),
        (prompt_event(position="12"), "position"),
        (prompt_event(position=[1, None]), "point"),
        (prompt_event(position=[1, float("nan")]), "finite"),
        (prompt_event(position=[1, 10**400]), "event 1"),
        (prompt_event(positive="false"), "positive"),
        (prompt_event(frame="moon"), "index or world"),
        (prompt_event(kind="mask", shape=[2, 2], bits="!"), "event 1"),
        (prompt_event(kind="scribble"), "scribble"),
    ],
)
def test_a_document_that_is_no_journal_is_rejected_in_one_line(data: object, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        Journal.from_dict(data)
    assert "\n" not in str(caught.value)


def test_a_mask_of_another_shape_is_rejected_before_it_is_decoded() -> None:
    bits = base64.b64encode(zlib.compress(b"\0" * 100)).decode()
    event = {"event": "prompt", "id": 1, "prompt": {"kind": "mask", "shape": [10**7, 10**7], "bits": bits}}
    image = {"sha256": "0", "shape": [4, 4], "dtype": "uint8"}
    geometry = {"shape": [4, 4], "spacing": [1, 1], "origin": [0, 0], "direction": [[1, 0], [0, 1]]}
    with pytest.raises(FormatError, match=r"\[4, 4\]"):
        Journal.from_dict(document(image={**image, "geometry": geometry}, objects=[{"events": [event]}]))


@pytest.mark.parametrize("shape", [[10**7, 10**7], [2, 2], [-2, -2], [0, 4], [10**30, 1]])
def test_a_mask_whose_bits_are_not_those_of_its_shape_is_rejected(shape: list[int]) -> None:
    bits = base64.b64encode(zlib.compress(bytes(10**6))).decode()
    with pytest.raises(FormatError, match="event 1"):
        Journal.from_dict(with_event({"event": "prompt", "prompt": {"kind": "mask", "shape": shape, "bits": bits}}))


def test_files_that_hold_no_journal_are_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    with pytest.raises(FormatError, match=r"journal\.json"):
        Journal.load(path)
    for content in (b"{", b"\xff\xfe\x00", b"[" * 100_000, b"{}"):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"journal\.json"):
            Journal.load(path)


def played(events: list[Event]) -> list[int] | None:
    """Numbers of the prompts in force, from the definition alone; None where an event could not have happened."""
    actions: list[Event] = []
    undone: list[Event] = []
    for event in events:
        given_ = [a.id for a in actions if isinstance(a, Prompted)]
        removed = [a.id for a in actions if isinstance(a, Removed)]
        if isinstance(event, Undone | Redone):
            source, target = (actions, undone) if isinstance(event, Undone) else (undone, actions)
            if not source:
                return None
            target.append(source.pop())
            continue
        wrong = event.id in given_ if isinstance(event, Prompted) else event.id not in given_ or event.id in removed
        if wrong:
            return None
        actions, undone = [*actions, event], []
    gone = [a.id for a in actions if isinstance(a, Removed)]
    return [a.id for a in actions if isinstance(a, Prompted) and a.id not in gone]


ANY_EVENT = st.one_of(
    st.integers(1, 4).map(lambda number: Prompted(number, PROMPTS[0])),
    st.integers(1, 4).map(Removed),
    st.just(Undone()),
    st.just(Redone()),
)


@given(st.lists(ANY_EVENT, max_size=12))
def test_events_are_taken_or_rejected_as_the_definition_says(events: list[Event]) -> None:
    wanted = played(events)
    if wanted is None:
        with pytest.raises(InputError):
            history(events)
    else:
        assert numbers(events) == wanted
        step = History()
        for event in events:
            step = step.after(event)
        assert step == history(events)


def test_a_mask_on_a_picture_in_colour_comes_back() -> None:
    image = Image.from_array(np.zeros((6, 8, 3), dtype=np.uint8))
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2:4, 3:6] = 1
    objects = (ObjectJournal(1, "a", None, (Prompted(1, InitialMask(mask)),), 1),)
    journal = Journal(objects, image=ImageStamp.of(image), current=1)
    assert Journal.from_dict(journal.to_dict()) == journal
