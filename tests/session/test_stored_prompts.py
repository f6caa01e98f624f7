"""Masks in a journal are written as what they change, and come back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.prompts import InitialMask, Point, Prompt
from bedside.session.journal import Event, Journal, ObjectJournal, Prompted, Removed, Undone, written_events

SHAPE = (30, 40)


def disc(row: float, column: float, radius: float = 9.0) -> NDArray[np.uint8]:
    y, x = np.ogrid[:30, :40]
    return (((y - row) ** 2 + (x - column) ** 2) < radius**2).astype(np.uint8)


def strokes(count: int) -> list[NDArray[np.uint8]]:
    """An object and strokes of a brush that each add a little to it."""
    masks = [disc(15, 12)]
    for n in range(count):
        masks.append(masks[-1] | disc(15 + 8 * np.sin(n), 14 + 14 * n / count, 2.5))
    return masks


def prompts() -> Any:
    masks = st.builds(disc, st.floats(-20, 50), st.floats(-20, 60), st.floats(0, 30)).map(InitialMask)
    return st.one_of(masks, st.just(Point((3.0, 4.0))), st.just(InitialMask(np.zeros(SHAPE, np.uint8))))


def journal_of(items: list[Prompt]) -> Journal:
    return Journal((ObjectJournal(1, "a", events=tuple(Prompted(n, p) for n, p in enumerate(items, start=1))),))


@given(items=st.lists(prompts(), max_size=8))
def test_any_masks_come_back_as_they_were(items: list[Prompt]) -> None:
    journal = journal_of(items)
    assert Journal.from_dict(json.loads(json.dumps(journal.to_dict()))) == Journal(journal.objects, current=1)


def test_undone_and_removed_masks_are_changed_by_those_that_follow() -> None:
    masks = [InitialMask(mask) for mask in strokes(4)]
    events: tuple[Event, ...] = (
        *(Prompted(n, mask) for n, mask in enumerate(masks[:3], start=1)),
        Undone(),
        Removed(1),
        Prompted(9, masks[3]),
        Prompted(10, masks[4]),
    )
    written = written_events(events)
    assert [w["prompt"].get("since") for w in written if w["event"] == "prompt"] == [None, 1, 2, 3, 9]
    assert Journal.from_dict(Journal((ObjectJournal(1, "a", events=events),)).to_dict()).objects[0].events == events
    # Event by event, as the workspace writes them.
    assert [w for n in range(len(events)) for w in written_events(events[n : n + 1], events[:n])] == written


def test_a_stroke_takes_the_room_of_what_it_changed() -> None:
    rng = np.random.default_rng(0)
    rough = np.repeat(np.repeat(rng.integers(0, 2, (64, 64)), 4, axis=0), 4, axis=1)
    painted = rough.copy()
    painted[100:106, 100:106] = 1
    events = journal_of([InitialMask(rough), InitialMask(painted)]).objects[0].events
    whole, change = (written["prompt"] for written in written_events(events))
    assert len(change["bits"]) < 60 < 10 * 60 < len(whole["bits"])
    box = np.array(change["box"])
    assert (box[0] >= 100).all()
    assert (box[1] <= 106).all()


def test_a_journal_says_by_its_version_whether_masks_are_changes() -> None:
    first, second = map(InitialMask, strokes(1))
    assert journal_of([first, Point((1.0, 2.0))]).to_dict()["version"] == 1
    later = journal_of([first, second]).to_dict()
    assert later["version"] == 2
    # As it was written before there were changes.
    for event, mask in zip(later["objects"][0]["events"], (first, second), strict=True):
        event["prompt"] = mask.to_dict()
    assert Journal.from_dict({**later, "version": 1}).objects[0].events == (Prompted(1, first), Prompted(2, second))


@pytest.mark.parametrize("since", [0, 2, 3, -1, "1", None, [1], True, 1.5, 10**30])
def test_a_change_of_a_mask_that_there_is_not_is_rejected(since: object) -> None:
    document = journal_of([Point((1.0, 1.0)), *map(InitialMask, strokes(2)[1:])]).to_dict()
    changed = document["objects"][0]["events"][2]["prompt"]
    assert changed["since"] == 2
    changed["since"] = since
    if since == 2:
        assert Journal.from_dict(document)
    else:
        with pytest.raises(FormatError, match="event 3: since: expected the number of an earlier mask"):
            Journal.from_dict(document)


def test_a_change_of_a_mask_of_another_shape_is_rejected() -> None:
    document = journal_of(list(map(InitialMask, strokes(1)))).to_dict()
    document["objects"][0]["events"][1]["prompt"]["shape"] = [31, 40]
    with pytest.raises(FormatError, match="an earlier mask"):
        Journal.from_dict(document)


def test_a_mask_of_another_object_is_none_of_this_one(tmp_path: Path) -> None:
    first, second = map(InitialMask, strokes(1))
    journal = Journal(
        (ObjectJournal(1, "a", events=(Prompted(1, first),)), ObjectJournal(2, "b", events=(Prompted(2, second),)))
    )
    journal.save(tmp_path / "journal.json")
    written = json.loads((tmp_path / "journal.json").read_text())
    assert not [e for item in written["objects"] for e in item["events"] if "since" in e["prompt"]]
    assert Journal.load(tmp_path / "journal.json").objects == journal.objects
