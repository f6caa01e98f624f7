"""Boxes around objects, tight and not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.prompts import Box
from bedside.simulate.boxes import jittered_box, tight_box

SHAPES = st.integers(2, 3).flatmap(lambda n: st.tuples(*[st.integers(1, 8)] * n))


@given(SHAPES.flatmap(lambda shape: npst.arrays(np.bool_, shape)))
def test_a_tight_box_holds_the_object_and_nothing_to_spare(mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        with pytest.raises(PromptError, match="empty mask"):
            tight_box(mask)
        return
    box = tight_box(mask)
    index = np.argwhere(mask)[:, ::-1]
    assert box.low == tuple(index.min(axis=0))
    assert box.high == tuple(index.max(axis=0) + 1)
    assert box.positive
    assert box.frame == "index"


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Boxes of whole voxels."""
    axes = draw(st.integers(2, 3))
    low = [draw(st.integers(0, 500)) for _ in range(axes)]
    high = [a + draw(st.integers(1, 300)) for a in low]
    return Box(tuple(map(float, low)), tuple(map(float, high)), draw(st.booleans()))


@given(boxes(), st.integers(0, 2**32 - 1), st.floats(0, 0.45), st.floats(0, 0.5))
def test_every_face_moves_within_its_bounds_and_a_voxel_is_left(
    box: Box, seed: int, inward: float, outward: float
) -> None:
    moved = jittered_box(box, np.random.default_rng(seed), inward, outward)
    low, high, side = np.array(box.low), np.array(box.high), np.subtract(box.high, box.low)
    assert (np.subtract(moved.high, moved.low) >= 1.0 - 1e-9).all()
    assert (moved.low >= low - outward * side - 1e-9).all()
    assert (moved.low <= low + inward * side + 1e-9).all()
    assert (moved.high >= high - inward * side - 1e-9).all()
    # A box of about a voxel is held open by its far face.
    assert (moved.high <= np.maximum(high + outward * side, moved.low + np.ones_like(side)) + 1e-9).all()
    assert (moved.positive, moved.frame) == (box.positive, box.frame)
    assert moved == jittered_box(box, np.random.default_rng(seed), inward, outward)


def test_faces_move_each_on_their_own_and_both_ways() -> None:
    generator = np.random.default_rng(0)
    box = Box((0.0, 0.0, 0.0), (100.0, 100.0, 100.0))
    moved = [jittered_box(box, generator) for _ in range(200)]
    shifts = np.array([[*(-np.array(m.low)), *(np.array(m.high) - 100)] for m in moved])
    assert (shifts.min(axis=0) < -4).all()
    assert (shifts.max(axis=0) > 9).all()
    np.testing.assert_allclose(np.corrcoef(shifts.T), np.eye(6), atol=0.25)


def test_no_jitter_keeps_the_box() -> None:
    box = Box((3.0, 4.0), (9.0, 5.0))
    assert jittered_box(box, np.random.default_rng(0), 0.0, 0.0) == box
