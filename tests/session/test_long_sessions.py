"""A session of many prompts gives the masks that one without any memory gives, whatever is undone or taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.core.image import Image
from bedside.core.prompts import Point, Prompt, Scribble
from bedside.engines.window.segmenter import WindowSegmenter
from bedside.imaging.kept import KeptShapes
from bedside.session import Session
from tests.engines.conftest import make_window

SHAPES = {2: (48, 60), 3: (12, 40, 36)}


def image(dimensions: int) -> Image:
    return Image.from_array(np.random.default_rng(5).integers(0, 99, SHAPES[dimensions]).astype(np.uint8))


def forgetful(dimensions: int) -> WindowSegmenter:
    """A segmenter that paints every prompt again at each pass."""

    class Forgetful(WindowSegmenter):
        def set_image(self, image: Image) -> None:
            super().set_image(image)
            self._shapes = KeptShapes(limit=0)

    made = make_window("corrected", dimensions)
    made.__class__ = Forgetful
    return made


def prompts(dimensions: int) -> Any:
    inside = st.tuples(*(st.floats(0, n - 1) for n in SHAPES[dimensions][::-1]))
    clicks = st.builds(Point, inside, st.booleans())
    strokes = st.builds(Scribble, st.lists(inside, min_size=2, max_size=4).map(tuple), st.booleans())
    return st.one_of(clicks, strokes)


def masks_without_memory(dimensions: int, given_prompts: list[Prompt]) -> Any:
    session = Session(image(dimensions), segmenter=forgetful(dimensions))
    for prompt in given_prompts:
        session.add(prompt)
    return session.mask


@pytest.mark.parametrize("dimensions", [2, 3])
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_undo_redo_and_removal_give_the_mask_of_the_prompts_in_force(dimensions: int, data: Any) -> None:
    session = Session(image(dimensions), segmenter=make_window("corrected", dimensions))
    middle = Point(tuple((n - 1) / 2 for n in SHAPES[dimensions][::-1]))
    session.add(middle)
    for _ in range(data.draw(st.integers(1, 10))):
        current = session.current
        assert current is not None
        choice = data.draw(st.sampled_from(["add", "add", "add", "undo", "redo", "remove"]))
        if choice == "undo" and len(current.prompts) > 1:
            session.undo()
        elif choice == "redo":
            session.redo()
        elif choice == "remove" and len(current.prompts) > 2:
            # Never the one that began the object.
            session.remove_prompt(data.draw(st.sampled_from([p.id for p in current.prompts[1:]])))
        elif choice == "add":
            session.add(data.draw(prompts(dimensions)))
        current = session.current
        assert current is not None
        in_force = [entry.prompt for entry in current.prompts]
        np.testing.assert_array_equal(session.mask, masks_without_memory(dimensions, in_force))
