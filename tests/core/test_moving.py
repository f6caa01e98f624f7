"""A moved prompt is the one that is made of its new positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import PromptError
from bedside.core.moving import moved_line
from bedside.core.prompts import Lasso, Scribble

number = st.floats(-1e6, 1e6)
lines = st.integers(2, 3).flatmap(lambda axes: st.lists(st.tuples(*[number] * axes), min_size=3, max_size=9))


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
