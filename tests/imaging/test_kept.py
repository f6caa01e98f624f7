"""What prompts are on a grid is kept by the object and the place, within a limit, and equals what is computed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.prompts import Box, Lasso, Point, Prompt, Scribble
from bedside.imaging.kept import KeptShapes, keeping, kept
from bedside.imaging.paint import paint_prompts
from bedside.imaging.window import Window


def test_a_value_is_made_once_for_an_object_and_a_place() -> None:
    shapes, stroke, equal = KeptShapes(), Scribble(((1.0, 2.0),)), Scribble(((1.0, 2.0),))
    asked = [(stroke, "here"), (stroke, "there"), (equal, "here"), (stroke, "here"), (equal, "here")]
    numbers = itertools.count(1)
    with keeping(shapes):
        values = [kept(of, place, lambda: next(numbers), lambda _: 1) for of, place in asked]
    assert values == [1, 2, 3, 1, 3]
    assert kept(stroke, "here", lambda: 9, lambda _: 1) == 9  # Outside the block nothing is kept.


def test_no_more_is_kept_than_the_limit() -> None:
    shapes = KeptShapes(limit=10)
    first, second = Scribble(((1.0, 2.0),)), Scribble(((1.0, 2.0),))
    assert shapes.get(first, 0, lambda: "a", lambda _: 6) == "a"
    assert shapes.get(second, 0, lambda: "b", lambda _: 6) == "b"
    assert shapes.get(first, 0, lambda: "again", lambda _: 6) == "again"
    assert shapes.get(second, 0, lambda: "larger", lambda _: 60) == "larger"


coordinate = st.floats(-30, 60)


@st.composite
def prompts(draw: st.DrawFn, axes: int) -> Prompt:
    point = st.tuples(*[coordinate] * axes)
    positive = draw(st.booleans())
    kind = draw(st.sampled_from([Point, Box, Scribble, Lasso]))
    if kind is Point:
        return Point(draw(point), positive)
    if kind is Box:
        low = draw(point)
        return Box(low, tuple(a + draw(st.floats(0.1, 30)) for a in low), positive)
    places = tuple(draw(st.lists(point, min_size=3, max_size=6)))
    if kind is Lasso:
        # In a volume an outline lies on one slice.
        return Lasso(tuple((*p[:2], *places[0][2:]) for p in places), positive)
    return Scribble(places, positive, connected=draw(st.booleans()), thickness=draw(st.floats(0.5, 9)))


@pytest.mark.parametrize("axes", [2, 3])
@given(data=st.data())
def test_kept_strokes_are_painted_as_they_are_without_keeping(axes: int, data: st.DataObject) -> None:
    drawn = data.draw(st.lists(prompts(axes), min_size=1, max_size=6))
    grid = (14, 12, 10)[:axes]
    shapes = KeptShapes(data.draw(st.sampled_from([3000, 2**20])))
    for start in data.draw(st.lists(st.sampled_from([-3.0, 0.0, 7.5]), min_size=1, max_size=4)):
        window = Window((start,) * axes, (start + 25.0,) * axes, grid)
        some = drawn[: data.draw(st.integers(1, len(drawn)))]
        with keeping(shapes):
            found = paint_prompts(window.all_to_grid(some), grid)
        alone = [paint_prompts([window.to_grid(prompt)], grid) for prompt in some]
        np.testing.assert_array_equal(found, np.maximum.reduce(alone))
