"""What a notebook shows of a session, and what its clicks become."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from bedside import Point, Session
from bedside.core.errors import DependencyError, InputError
from bedside.core.image import Image
from bedside.session.journal import Journal
from bedside.session.slices import Slices

SHAPE = (10, 24, 32)


def image() -> Image:
    array = np.full(SHAPE, -800, np.int16)
    array[3:8, 6:18, 8:24] = 100
    return Image.from_array(array, (0.7, 0.9, 3.0))


@pytest.fixture(scope="module")
def session() -> Session:
    """One session for all tests, each of which leaves it without objects in force."""
    return Session(image())


@pytest.fixture
def slices(session: Session) -> Any:
    yield Slices(session)
    session.restore(Journal(()))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_click_is_where_it_is_seen_and_its_mask_is_seen_there(slices: Slices, session: Session, axis: int) -> None:
    place = [5, 12, 16]
    slices.turn(axis, place[axis])
    row, column = (n for number, n in enumerate(place) if number != axis)
    assert slices.picture()[row, column] == 255
    assert slices.picture()[0, 0] == 0
    assert slices.ask({"do": "click", "column": column, "row": row, "positive": True}) == ""
    (prompt,) = session.objects[0].prompts
    assert prompt.prompt == Point((16, 12, 5))
    assert session.mask.any()
    for other in range(3):
        for index in range(SHAPE[other]):
            slices.turn(other, index)
            np.testing.assert_array_equal(slices.objects_seen(), np.take(session.mask, index, axis=other))
            assert slices.view()["size"] == list(slices.objects_seen().shape)
    assert slices.ask({"do": "undo"}) == ""
    assert not session.mask.any()
    assert slices.ask({"do": "redo"}) == ""
    assert session.mask.any()


def test_objects_are_told_in_their_order_and_colours(slices: Slices, session: Session) -> None:
    click = {"do": "click", "row": 12, "positive": True}
    slices.turn(0, 5)
    assert [slices.ask(one) for one in ({**click, "column": 16}, {"do": "object"}, {**click, "column": 28})] == [""] * 3
    first, second = slices.objects()
    assert (first["current"], second["current"], first["colour"]) == (False, True, "#e6b422")
    assert set(np.unique(slices.objects_seen())) >= {0, 1}
    assert slices.ask({"do": "select", "id": 1}) == ""
    assert session.current is not None
    assert session.current.id == 1


def test_pixels_have_the_spacing_of_their_plane(slices: Slices) -> None:
    for axis, pixel in enumerate([(0.9, 0.7), (3.0, 0.7), (3.0, 0.9)]):
        slices.turn(axis, 0)
        assert slices.pixel == pytest.approx(pixel)
    slices.turn(2, 99)
    assert slices.index == SHAPE[2] - 1
    with pytest.raises(InputError, match="axis"):
        slices.turn(None, 0)


@pytest.mark.parametrize(
    "asked",
    [
        None,
        {},
        {"do": "else"},
        {"do": "click"},
        {"do": "click", "column": "a", "row": 1, "positive": True},
        {"do": "click", "column": 999, "row": 1, "positive": True},
        {"do": "click", "column": 1, "row": 1, "positive": False},
        {"do": "turn", "axis": 7},
        {"do": "turn", "axis": "0", "index": 1},
        {"do": "select", "id": 9},
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(slices: Slices, session: Session, asked: Any) -> None:
    before = slices.view()
    said = slices.ask(asked)
    assert said
    assert "\n" not in said
    assert slices.view() == before
    assert not session.objects


def test_a_picture_in_colours_has_one_slice() -> None:
    array = np.zeros((20, 30, 3), np.uint8)
    array[4:12, 5:20] = (200, 150, 100)
    slices = Slices(Session(array))
    assert (slices.axis, slices.count, slices.view()["channels"]) == (None, 1, 3)
    np.testing.assert_array_equal(slices.picture(), array)
    assert slices.ask({"do": "click", "column": 12, "row": 8, "positive": True}) == ""
    assert slices.objects_seen()[8, 12] == 1


def test_without_its_package_the_widget_says_what_to_install(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from bedside.session.widget import _widget_class

    _widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(DependencyError, match="bedside\\[notebook\\]"):
        session.show()


def test_the_widget_tells_the_browser_what_it_needs() -> None:
    pytest.importorskip("anywidget")
    from bedside.session.widget import _widget_class

    _widget_class.cache_clear()
    session = Session(image())
    widget = session.show()
    assert len(widget.picture) == len(widget.seen) == SHAPE[1] * SHAPE[2]
    widget._handle_custom_msg({"do": "click", "column": 16, "row": 12, "positive": True}, [])
    np.testing.assert_array_equal(np.frombuffer(widget.seen, np.uint8).reshape(SHAPE[1:]), session.mask[5])
    assert session.mask.any()
    assert widget.objects[0]["voxels"] == session.mask.sum()
    widget._handle_custom_msg({"do": "click", "column": 999, "row": 12, "positive": True}, [])
    assert "outside the image" in widget.said
    session.undo()
    widget.refresh()
    assert not np.frombuffer(widget.seen, np.uint8).any()
