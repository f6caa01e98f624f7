from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside.core.prompts import Box, Point
from bedside.core.region import Region
from bedside.engines.nninteractive.channels import click_ball
from bedside.engines.nninteractive.cube import sample_prompts
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.nninteractive.stamps import box_profiles, click_stamp
from bedside.imaging.window import Window

CELLS = 16
SETTINGS = InteractionSettings(supported={**InteractionSettings().supported, "bbox3d": True})
sides = st.integers(CELLS, 4 * CELLS)
starts = st.tuples(*[st.integers(-20, 20)] * 3)


def cube(start: tuple[int, ...], side: int) -> Window:
    return Window(tuple(map(float, start)), tuple(float(a + side) for a in start), (CELLS,) * 3)


@settings(max_examples=60)
@given(start=starts, side=sides, place=st.tuples(*[st.integers(-8, 72)] * 3), radius=st.integers(1, 4))
def test_a_click_is_painted_as_in_inference(
    start: tuple[int, ...], side: int, place: tuple[int, ...], radius: int
) -> None:
    window = cube(start, side)
    position = tuple(a + p for a, p in zip(start, place, strict=True))
    prompt = Point(tuple(map(float, position[::-1])))
    kinds = InteractionSettings(point_radius=radius)
    expected = sample_prompts([prompt], None, window, kinds)[kinds.pairs["points"][0]]
    cells, values = click_stamp(position, window, radius)
    painted = np.zeros_like(expected)
    if not cells.is_empty:
        painted[cells.slices] = values
    # Inference keeps its prompts in half precision.
    np.testing.assert_allclose(painted, expected, atol=2e-3)


def test_a_click_at_full_resolution_is_the_ball() -> None:
    cells, values = click_stamp((8, 9, 10), cube((0, 0, 0), CELLS), 4)
    assert cells == Region((4, 5, 6), (13, 14, 15))
    np.testing.assert_array_equal(values, click_ball(4))
    assert np.count_nonzero(values) == 257


@settings(max_examples=60)
@given(start=starts, side=sides, low=st.tuples(*[st.integers(-10, 60)] * 3), data=st.data())
def test_a_box_is_painted_as_in_inference(
    start: tuple[int, ...], side: int, low: tuple[int, ...], data: st.DataObject
) -> None:
    window = cube(start, side)
    begin = tuple(a + b for a, b in zip(start, low, strict=True))
    end = tuple(b + data.draw(st.integers(1, 50)) for b in begin)
    prompt = Box(tuple(map(float, begin[::-1])), tuple(map(float, end[::-1])))
    expected = sample_prompts([prompt], None, window, SETTINGS)[SETTINGS.pairs["bbox3d"][0]]
    z, y, x = box_profiles(Region(begin, end), window)
    painted = z[:, None, None] * y[:, None] * x
    np.testing.assert_allclose(painted, expected, atol=2e-3)


def test_a_box_holds_its_last_voxel_and_one_slice_is_not_empty() -> None:
    z, y, x = box_profiles(Region((3, 2, 5), (4, 9, 10)), cube((0, 0, 0), CELLS))
    assert np.flatnonzero(z).tolist() == [3]
    assert np.flatnonzero(y).tolist() == list(range(2, 9))
    assert np.flatnonzero(x).tolist() == list(range(5, 10))
