"""Vertices kept as an array read as the tuples that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import PromptError
from bedside.core.prompts import Lasso, Scribble, moved_line
from bedside.core.vertices import Vertices

number = st.floats(-1e6, 1e6)
lines = st.integers(2, 3).flatmap(lambda axes: st.lists(st.tuples(*[number] * axes), min_size=3, max_size=9))


@given(points=lines, at=st.integers(-3, 2), cut=st.slices(9))
def test_they_read_as_a_tuple_of_tuples(points: list[tuple[float, ...]], at: int, cut: slice) -> None:
    plain, held = tuple(points), Vertices(np.array(points))
    assert held == plain
    assert plain == held
    assert hash(held) == hash(plain)
    assert repr(held) == repr(plain)
    assert held[at] == plain[at]
    assert held[cut] == plain[cut]
    assert list(held) == list(plain)
    assert len(held) == len(plain)
    assert held != plain[:-1]
    assert held != list(plain)
    np.testing.assert_array_equal(np.array(held), np.array(plain))
    assert held.nbytes == np.array(plain).nbytes


def test_nobody_changes_them() -> None:
    positions = np.zeros((2, 2))
    held = Vertices(positions)
    positions[:] = 1
    assert held == ((0.0, 0.0), (0.0, 0.0))
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(held)[0] = 1
    np.array(held, copy=True)[0] = 1


@pytest.mark.parametrize("kind", [Scribble, Lasso])
@given(points=lines, places=st.data(), positive=st.booleans())
def test_a_moved_line_is_the_one_made_of_its_points(kind: Any, points: Any, places: Any, positive: bool) -> None:
    line = kind(tuple(points), positive, "world")
    new = places.draw(st.lists(st.tuples(*[number] * len(points[0])), min_size=3, max_size=9))
    moved, made = moved_line(line, np.array(new)), kind(tuple(new), positive, "world")
    assert moved == made
    assert made == moved
    assert hash(moved) == hash(made)
    assert moved.to_dict() == made.to_dict()
    assert kind.from_dict(moved.to_dict()) == made
    assert moved.ndim == made.ndim
    np.testing.assert_array_equal(moved.vertices(), made.vertices())


def test_a_stroke_may_be_wider_there() -> None:
    assert moved_line(Scribble(((1.0, 2.0),)), np.array([[3.0, 4.0]]), 5.5) == Scribble(((3.0, 4.0),), thickness=5.5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
def test_places_that_are_none_are_rejected(value: float) -> None:
    with pytest.raises(PromptError):
        moved_line(Scribble(((1.0, 2.0),)), np.array([[value, 0.0]]))
