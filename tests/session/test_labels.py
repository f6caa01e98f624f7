"""The label of an object is its own: deleting, adding, saving and reopening leave it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.session import Session
from bedside.session.editing import begin_object, remove_object
from bedside.session.journal import Journal, ObjectJournal

ROWS = 12


def _marked(session: Session, row: int) -> None:
    mask = np.zeros((ROWS, 4), np.uint8)
    mask[row % ROWS] = 1
    session.set_mask(mask)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["add", "remove", "set", "reopen"]), st.integers(0, 30)), max_size=14))
def test_no_change_to_one_object_moves_the_label_of_another(steps: list[tuple[str, int]], grower: Any) -> None:
    session = Session(Image.from_array(np.zeros((ROWS, 4), np.uint8)), segmenter=grower)
    known: dict[int, int] = {}
    removed: set[int] = set()
    for what, value in steps:
        numbers = list(known)
        if what == "add" and len(numbers) < ROWS:
            item = session.add_object()
            assert item.label not in known.values()
            assert item.label not in removed
            known[item.id] = item.label
            _marked(session, item.id)
        elif what == "remove" and numbers:
            number = numbers[value % len(numbers)]
            remove_object(session, number)
            removed.add(known.pop(number))
        elif what == "set" and numbers:
            number, label = numbers[value % len(numbers)], value + 1
            if label in known.values():
                continue
            session.set_label(number, label)
            known[number] = label
        elif what == "reopen":
            session.restore(Journal.from_dict(session.journal.to_dict()))
            removed.clear()
        assert {o.id: o.label for o in session.objects} == known
    if known:
        assert set(np.unique(session.label_map("overwrite"))) <= {0, *known.values()}
        for number, label in known.items():
            mask = session.mask_of(number) > 0
            assert set(np.unique(session.label_map()[mask])) <= set(known.values())
            assert label in {o.label for o in session.objects}


def test_labels_are_set_and_guarded(grower: Any) -> None:
    session = Session(Image.from_array(np.zeros((ROWS, 4), np.uint8)), segmenter=grower)
    first, second = session.add_object("a"), session.add_object("b", label=300)
    _marked(session, 3)
    assert (first.label, second.label) == (1, 300)
    assert session.label_map().dtype == np.uint16
    assert session.label_map()[3, 0] == 300
    with pytest.raises(InputError, match="no other object has"):
        session.set_label(second.id, 1)
    for label in (0, 65_536):
        with pytest.raises(InputError, match=r"1 to 65,535"):
            session.set_label(first.id, label)
    assert begin_object(session, 9).label == 301


def test_a_journal_without_labels_gives_the_label_map_that_it_gave() -> None:
    old = {
        "format": "bedside-journal",
        "version": 1,
        "objects": [{"id": 4, "events": []}, {"id": 2, "name": "b", "events": []}],
    }
    journal = Journal.from_dict(old)
    assert [item.label for item in journal.objects] == [None, None]
    assert "label" not in journal.to_dict()["objects"][0]


def test_a_saved_session_keeps_its_labels(tmp_path: Path, grower: Any) -> None:
    image = Image.from_array(np.zeros((ROWS, 4), np.uint8))
    session = Session(image, segmenter=grower)
    for name in ("a", "b", "c"):
        session.add_object(name)
    _marked(session, 5)
    remove_object(session, 1)
    session.save(tmp_path / "s.json")
    again = Session.load(tmp_path / "s.json", image, segmenter=grower)
    assert [(o.name, o.label) for o in again.objects] == [("b", 2), ("c", 3)]
    assert again.label_map()[5, 0] == 3


def test_objects_without_labels_take_their_places_among_those_with_one(grower: Any) -> None:
    session = Session(Image.from_array(np.zeros((ROWS, 4), np.uint8)), segmenter=grower)
    session.restore(Journal((ObjectJournal(1, "a"), ObjectJournal(2, "b", label=1), ObjectJournal(3, "c"))))
    assert [o.label for o in session.objects] == [2, 1, 3]
