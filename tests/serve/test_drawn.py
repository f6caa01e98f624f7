from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.prompts import Scribble
from bedside.core.region import Region
from bedside.imaging.paint import fill_polygon, paint_prompts
from bedside.serve.drawn import PARTS, painted_lasso, painted_scribble, whole_or_part

# Parts, holes, parts in holes, pixels that touch by a corner.
AREAS = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)).filter(np.any)


@given(AREAS, st.tuples(st.integers(0, 5), st.integers(0, 5)), st.booleans())
def test_an_outline_filled_is_the_area_that_was_painted(
    area: NDArray[Any], start: tuple[int, int], positive: bool
) -> None:
    lasso = painted_lasso(area, start, positive)
    assert lasso.positive is positive
    expected = np.zeros((16, 16), np.float32)
    expected[start[0] : start[0] + area.shape[0], start[1] : start[1] + area.shape[1]] = area
    np.testing.assert_array_equal(fill_polygon(np.array(lasso.points)[:, ::-1], (16, 16)), expected)


@given(AREAS, st.integers(0, 2))
def test_so_it_is_on_a_slice_of_any_plane(area: NDArray[Any], axis: int) -> None:
    whole = np.zeros((12, 12, 12), np.float32)
    np.moveaxis(whole, axis, 0)[7, 2 : 2 + area.shape[0], 1 : 1 + area.shape[1]] = area
    lasso = painted_lasso(whole[1:], (1, 0, 0), True)
    # A line of voxels lies on slices of two planes, and both are right where all its voxels and no others are filled.
    np.testing.assert_array_equal(paint_prompts([lasso], whole.shape)[0], whole)


@given(AREAS, st.tuples(st.integers(0, 5), st.integers(0, 5)), st.booleans())
def test_a_stroke_is_that_of_the_whole_mask(area: NDArray[Any], start: tuple[int, int], positive: bool) -> None:
    whole = np.zeros((16, 16), np.uint8)
    whole[start[0] : start[0] + area.shape[0], start[1] : start[1] + area.shape[1]] = area
    assert painted_scribble(area, start, positive) == Scribble.from_mask(whole, positive)


def test_what_no_hand_draws_is_rejected() -> None:
    with pytest.raises(PromptError, match="painted area"):
        painted_lasso(np.zeros((3, 4), np.uint8), (0, 0), True)
    with pytest.raises(PromptError, match="one slice"):
        painted_lasso(np.ones((2, 3, 4), np.uint8), (0, 0, 0), True)
    dots = np.zeros((2, 2 * PARTS + 2), np.uint8)
    dots[0, ::2] = 1
    with pytest.raises(PromptError, match="parts and holes"):
        painted_lasso(dots, (0, 0), True)
    assert painted_lasso(dots[:, 2:], (0, 0), True)
    with pytest.raises(PromptError, match="painted voxels, got 0"):
        painted_scribble(np.zeros((3, 4), np.uint8), (0, 0), True)
    with pytest.raises(PromptError, match="1 to 100000 painted voxels"):
        painted_scribble(np.ones((100, 1001), np.uint8), (0, 0), True)


@pytest.mark.parametrize(
    ("patch", "box"),
    [
        ((3, 4), None),
        ((4, 5), Region((0, 0, 0), (4, 5, 1))),
        ((4, 5), Region((1, 1), (4, 5))),
        ((4, 5), Region((-1, 0), (3, 5))),
        ((4, 5), Region((7, 0), (11, 5))),
    ],
)
def test_a_patch_must_fit_where_it_is_said_to_lie(patch: tuple[int, ...], box: Region | None) -> None:
    with pytest.raises(PromptError, match="a box inside"):
        whole_or_part(np.zeros(patch, np.uint8), box, (10, 10), "lasso")


def test_a_patch_begins_where_its_box_does() -> None:
    assert whole_or_part(np.zeros((4, 5)), Region((1, 2), (5, 7)), (10, 10), "lasso") == (1, 2)
    assert whole_or_part(np.zeros((10, 10)), None, (10, 10), "lasso") == (0, 0)
