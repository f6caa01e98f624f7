"""Slices of any plane, and what is drawn on them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.prompts import Box
from bedside.simulate.boxes import tight_box
from bedside.simulate.slices import (
    draw_box,
    draw_on_slice,
    draw_scribble,
    draw_slice,
    flat_box,
    middle_box,
    slice_lasso,
    slice_scribble,
)

Mask = NDArray[np.bool_]
seeds = st.integers(0, 2**32 - 1)


@st.composite
def objects(draw: st.DrawFn) -> Mask:
    shape = tuple(draw(st.integers(1, 10)) for _ in range(3))
    mask = draw(npst.arrays(np.bool_, shape))
    mask[tuple(draw(st.integers(0, n - 1)) for n in shape)] = True
    return mask


def ball(radius: float = 9.0, shape: tuple[int, ...] = (30, 32, 34)) -> Mask:
    offsets = np.indices(shape) - np.array([14.0, 15.0, 16.0])[:, None, None, None]
    inside: Mask = (offsets**2).sum(axis=0) <= radius**2
    return inside


@given(objects(), seeds)
def test_a_slice_holds_the_object(mask: Mask, seed: int) -> None:
    axis, index = draw_slice(mask, np.random.default_rng(seed))
    assert np.take(mask, index, axis).any()
    assert (axis, index) == draw_slice(mask.copy(), np.random.default_rng(seed))


def test_planes_are_drawn_alike_and_slices_by_their_area() -> None:
    mask = np.zeros((20, 20, 20), bool)
    mask[3, 2:12, 2:12] = True
    mask[10, 5:10, 5:10] = True
    generator = np.random.default_rng(0)
    drawn = [draw_slice(mask, generator) for _ in range(3000)]
    for axis in range(3):
        assert 850 < sum(a == axis for a, _ in drawn) < 1150
    large = sum(d == (0, 3) for d in drawn)
    small = sum(d == (0, 10) for d in drawn)
    assert large + small == sum(a == 0 for a, _ in drawn)
    assert 3.0 < large / small < 5.4
    assert {a for a, _ in (draw_slice(mask, generator, (1,)) for _ in range(20))} == {1}


def test_an_empty_object_has_no_slice() -> None:
    with pytest.raises(PromptError, match="empty mask"):
        draw_slice(np.zeros((3, 3, 3), bool), np.random.default_rng(0))


@pytest.mark.parametrize("draw", [flat_box, slice_scribble, slice_lasso])
@given(mask=objects(), seed=seeds, positive=st.booleans())
def test_any_object_of_any_plane_gets_a_prompt(draw: object, mask: Mask, seed: int, positive: bool) -> None:
    assert callable(draw)
    prompt = draw(mask, np.random.default_rng(seed), positive)
    assert prompt == draw(mask.copy(), np.random.default_rng(seed), positive)
    assert (prompt.positive, prompt.frame, prompt.ndim) == (positive, "index", 3)
    flat = []
    for axis in range(3):
        place = prompt.vertices()[:, 2 - axis]
        if isinstance(prompt, Box):
            if np.ptp(place) == 1:
                flat.append((axis, round(place.mean())))
        elif np.ptp(place) == 0 and place[0] == round(place[0]):
            flat.append((axis, round(place[0])))
    # On one slice, and one that holds the object.
    assert any(np.take(mask, index, axis).any() for axis, index in flat if 0 <= index < mask.shape[axis])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_prompt_lies_on_the_object_whatever_the_plane(axis: int) -> None:
    mask = ball()
    for seed in range(30):
        generator = np.random.default_rng(seed)
        scribble = draw_on_slice(mask, generator, draw_scribble, axes=(axis,))
        points = scribble.vertices()
        assert np.ptp(points[:, 2 - axis]) == 0
        z, y, x = np.floor(points[:, ::-1] + 0.5).astype(int).T
        assert mask[z, y, x].mean() > 0.9


def test_a_flat_box_is_the_cross_section_jittered() -> None:
    mask = ball()
    for seed in range(30):
        box = flat_box(mask, np.random.default_rng(seed))
        axis = 2 - int(np.argmin(np.array(box.high) - np.array(box.low)))
        index = round(box.low[2 - axis])
        tight = tight_box(np.take(mask, index, axis))
        low = [c for a, c in enumerate(box.low) if a != 2 - axis]
        for a, b, end in zip(low, tight.low, tight.high, strict=True):
            # A tenth outward, a twentieth inward.
            assert -0.1 * (end - b) - 1e-9 <= a - b <= 0.05 * (end - b) + 1e-9


def test_an_image_is_drawn_on_as_it_is() -> None:
    plane = ball()[14]
    assert draw_on_slice(plane, np.random.default_rng(1), draw_box) == draw_box(plane, np.random.default_rng(1))
    assert slice_lasso(plane, np.random.default_rng(1)).ndim == 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_middle_box_lies_on_the_largest_slice(axis: int) -> None:
    mask = np.zeros((12, 13, 14), bool)
    mask[3:9, 4:9, 5:11] = True
    thick = [slice(2, 11)] * 3
    thick[axis] = slice(6, 7)
    mask[tuple(thick)] = True
    box = middle_box(mask, axis)
    low, high = [2.0] * 3, [11.0] * 3
    low[2 - axis], high[2 - axis] = 6.0, 7.0
    assert box == Box(tuple(low), tuple(high))


@given(mask=objects(), seed=seeds)
def test_strokes_keep_to_objects_of_any_shape(mask: Mask, seed: int) -> None:
    points = slice_scribble(mask, np.random.default_rng(seed)).vertices()[:, ::-1]
    held = [bool(mask[tuple(np.floor(points[0] + 0.5).astype(int))])]
    for start, stop in pairwise(points):
        steps = int(np.ceil(4 * np.abs(stop - start).max()))
        held += [bool(mask[tuple(np.floor(p + 0.5).astype(int))]) for p in np.linspace(start, stop, max(2, steps))]
    assert np.mean(held) > 0.75


def test_the_middle_of_a_stroke_on_a_ring_is_on_the_ring() -> None:
    y, x = np.indices((60, 60)) - 30
    ring = (np.hypot(y, x) < 25) & (np.hypot(y, x) > 20)
    for seed in range(40):
        points = draw_scribble(ring, np.random.default_rng(seed)).vertices()[:, ::-1]
        fine = np.concatenate([np.linspace(a, b, 40) for a, b in pairwise(points)] or [points])
        held = ring[tuple(np.floor(fine + 0.5).astype(int).T)]
        assert held.mean() > 0.8
