"""Prompts painted on the grid: each in its own channel, where it lies, and nowhere else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble, prompt_from_dict
from bedside.imaging.paint import (
    CHANNELS,
    CLICK_RADIUS,
    click_values,
    fill_polygon,
    paint_prompts,
    stroke_values,
)

GRIDS = [(20, 24), (12, 14, 16)]


def coordinates(grid: tuple[int, ...]) -> np.ndarray:
    """Coordinates of every cell in (x, y[, z]) order, (*grid, axes)."""
    return np.stack(np.indices(grid)[::-1], axis=-1).astype(float)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_click_is_1_at_its_centre_and_0_beyond_its_radius(grid: tuple[int, ...]) -> None:
    centre = tuple(float(n // 2) for n in grid[::-1])
    painted = paint_prompts([Point(centre)], grid)[2]
    distance = np.linalg.norm(coordinates(grid) - centre, axis=-1)
    assert painted[tuple(int(c) for c in centre[::-1])] == 1.0
    assert (painted[distance >= CLICK_RADIUS + 1] == 0).all()
    assert (painted[distance <= CLICK_RADIUS] > 0.2).all()
    np.testing.assert_allclose(painted, click_values(distance**2), atol=1e-6)


@given(position=st.tuples(st.floats(-8, 30), st.floats(-8, 30), st.floats(-8, 30)), axes=st.integers(2, 3))
def test_a_click_anywhere_equals_its_formula_on_the_whole_grid(position: tuple[float, ...], axes: int) -> None:
    grid, position = (20, 24, 9)[:axes], position[:axes]
    painted = paint_prompts([Point(position)], grid)[2]
    distance = np.linalg.norm(coordinates(grid) - position, axis=-1)
    np.testing.assert_allclose(painted, click_values(distance**2), atol=1e-4)


@given(positions=st.lists(st.tuples(*[st.floats(-8, 30)] * 3), min_size=1, max_size=9), axes=st.integers(2, 3))
def test_many_clicks_equal_their_formula_on_the_whole_grid(positions: list[tuple[float, ...]], axes: int) -> None:
    grid = (20, 24, 9)[:axes]
    painted = paint_prompts([Point(p[:axes], positive=n % 3 > 0) for n, p in enumerate(positions)], grid)
    for channel, of in ((2, True), (3, False)):
        distances = [
            np.linalg.norm(coordinates(grid) - p[:axes], axis=-1) for n, p in enumerate(positions) if (n % 3 > 0) == of
        ]
        wanted = click_values(np.min(distances, axis=0) ** 2) if distances else np.zeros(grid)
        np.testing.assert_allclose(painted[channel], wanted, atol=1e-4)


def test_each_kind_and_sign_has_its_channel() -> None:
    grid = (20, 24)
    square = ((5.0, 5.0), (15.0, 5.0), (15.0, 15.0), (5.0, 15.0))
    kinds: list[tuple[Prompt, int]] = [
        (Box((5.0, 5.0), (15.0, 15.0)), 0),
        (Lasso(square), 0),
        (Point((10.0, 10.0)), 2),
        (Scribble(square[:2]), 2),
    ]
    assert len(CHANNELS) == 4
    for prompt, channel in kinds:
        for positive in (True, False):
            signed = prompt_from_dict({**prompt.to_dict(), "positive": positive})
            used = paint_prompts([signed], grid).any(axis=(1, 2))
            np.testing.assert_array_equal(np.flatnonzero(used), [channel + (not positive)])


def test_prompts_combine_by_maximum_whatever_their_order() -> None:
    grid = (20, 24)
    prompts: list[Prompt] = [
        Point((8.0, 9.0)),
        Point((11.0, 9.0)),
        Box((2.0, 2.0), (9.5, 9.5)),
        Box((5.0, 5.0), (12.0, 12.0), positive=False),
        Scribble(((3.0, 3.0), (20.0, 17.0))),
        Lasso(((1.0, 1.0), (20.0, 2.0), (9.0, 18.0))),
    ]
    together = paint_prompts(prompts, grid)
    np.testing.assert_array_equal(together, np.maximum.reduce([paint_prompts([p], grid) for p in prompts]))
    np.testing.assert_array_equal(together, paint_prompts(prompts[::-1], grid))
    assert together.dtype == np.float32
    assert together.shape == (4, *grid)
    assert 0.0 <= together.min() <= together.max() <= 1.0


def test_an_initial_mask_is_not_painted() -> None:
    assert not paint_prompts([InitialMask(np.ones((9, 9), bool))], (9, 9)).any()


@given(low=st.tuples(st.floats(-9, 18), st.floats(-9, 18)), side=st.tuples(st.floats(1, 20), st.floats(1, 20)))
def test_a_box_gives_every_cell_the_share_it_covers(low: tuple[float, float], side: tuple[float, float]) -> None:
    high = (low[0] + side[0], low[1] + side[1])
    painted = paint_prompts([Box(low, high)], (12, 14))[0]
    for y, x in np.ndindex(12, 14):
        share = max(0.0, min(x + 1, high[0]) - max(x, low[0])) * max(0.0, min(y + 1, high[1]) - max(y, low[1]))
        assert painted[y, x] == pytest.approx(share, abs=1e-5)


def test_a_box_ends_before_its_high_corner() -> None:
    painted = paint_prompts([Box((2.0, 3.0), (5.0, 4.0))], (8, 8))[0]
    expected = np.zeros((8, 8))
    expected[3, 2:5] = 1
    np.testing.assert_array_equal(painted, expected)


@given(
    start=st.tuples(st.floats(-6, 26), st.floats(-6, 26)),
    stop=st.tuples(st.floats(-6, 26), st.floats(-6, 26)),
    thickness=st.floats(0.5, 7.0),
)
def test_a_stroke_is_a_capsule_around_its_line(
    start: tuple[float, float], stop: tuple[float, float], thickness: float
) -> None:
    painted = paint_prompts([Scribble((start, stop), thickness=thickness)], (20, 20))[2]
    along = np.subtract(stop, start)
    offset = coordinates((20, 20)) - start
    share = np.clip(offset @ along / max(float(along @ along), 1e-30), 0, 1)
    distance = np.linalg.norm(offset - share[..., None] * along, axis=-1)
    np.testing.assert_allclose(painted, stroke_values(distance, thickness), atol=1e-3)


def test_a_connected_stroke_joins_its_points_and_an_unconnected_one_does_not() -> None:
    points = ((3.0, 4.0), (16.0, 4.0), (16.0, 17.0))
    joined = paint_prompts([Scribble(points)], (20, 20))[2]
    apart = paint_prompts([Scribble(points, connected=False)], (20, 20))[2]
    assert joined[4, 9] == 1.0
    assert joined[10, 16] == 1.0
    assert apart[4, 9] == 0.0
    for x, y in points:
        assert apart[int(y), int(x)] == joined[int(y), int(x)] == 1.0


def test_a_stroke_made_from_a_mask_paints_that_mask() -> None:
    for grid in GRIDS:
        mask = np.random.default_rng(6).random(grid) < 0.1
        np.testing.assert_array_equal(paint_prompts([Scribble.from_mask(mask)], grid)[2], mask)


@given(points=st.lists(st.tuples(st.floats(-6, 30), st.floats(-6, 30)), min_size=3, max_size=9, unique=True))
def test_a_lasso_is_filled_by_the_even_odd_rule(points: list[tuple[float, float]]) -> None:
    polygon = np.array(points) + np.array([0.0137, 0.0071])
    filled = fill_polygon(polygon, (24, 26))
    for row, column in ((0, 0), (5, 9), (12, 12), (11, 20), (23, 25), (17, 3)):
        crossings = 0
        for (y0, x0), (y1, x1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if (y0 > row) != (y1 > row):
                crossings += column > x0 + (row - y0) / (y1 - y0) * (x1 - x0)
        assert filled[row, column] == crossings % 2


@pytest.mark.parametrize("seed", range(12))
def test_a_lasso_agrees_with_an_independent_fill(seed: int) -> None:
    draw = pytest.importorskip("skimage.draw")
    polygon = np.random.default_rng(seed).uniform(-5, 45, (3 + seed, 2))
    expected = np.zeros((40, 36), np.float32)
    # Crossing outlines of several windings are where fills differ: skimage's rule is even-odd too.
    expected[draw.polygon(polygon[:, 0], polygon[:, 1], expected.shape)] = 1
    np.testing.assert_array_equal(fill_polygon(polygon, (40, 36)), expected)


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_lasso_in_a_volume_fills_the_plane_that_it_lies_on(plane: int) -> None:
    outline = np.insert(np.array([(2.2, 2.3), (10.1, 3.2), (9.4, 9.3), (3.3, 10.2)]), plane, 5.0, axis=1)
    painted = paint_prompts([Lasso(tuple(tuple(p[::-1]) for p in outline))], (12, 13, 14))[0]
    flat = np.moveaxis(painted, plane, 0)
    expected = fill_polygon(np.delete(outline, plane, axis=1), flat.shape[1:])
    assert expected.sum() > 20
    np.testing.assert_array_equal(flat[5], expected)
    assert not np.delete(flat, 5, axis=0).any()


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("far", [-500.0, -9.0, 40.0, 1e7])
def test_prompts_off_the_grid_paint_nothing(axes: int, far: float) -> None:
    grid = (20, 24, 18)[:axes]
    for axis in range(axes):
        shift = np.zeros(axes)
        shift[axis] = far
        first, second, third = (tuple(np.array(p[:axes]) + shift) for p in ((1.0, 2, 3), (3.0, 5, 4), (2.0, 6, 3)))
        prompts: list[Prompt] = [
            Point(first),
            Box(first, tuple(np.array(first) + 2)),
            Box(first, tuple(np.array(first) + 0.01)),
            Scribble((first, second, third)),
            Scribble((first, second), connected=False),
            Lasso((first, second, third)),
        ]
        assert not paint_prompts(prompts, grid).any()


def test_a_box_around_the_whole_grid_fills_it() -> None:
    for grid in GRIDS:
        box = Box((-100.0,) * len(grid), (100.0,) * len(grid))
        np.testing.assert_array_equal(paint_prompts([box], grid)[0], np.ones(grid))


def distance_from_segments(shape: tuple[int, ...], points: list[tuple[float, ...]]) -> NDArray[np.float64]:
    """Distance of every cell from a polyline in (x, y) order, one cell and one segment at a time."""
    result = np.full(shape, np.inf)
    corners = [np.array(p[::-1]) for p in points]
    for index in np.ndindex(*shape):
        cell = np.array(index, dtype=float)
        for a, b in itertools.pairwise(corners):
            length = float((b - a) @ (b - a))
            share = min(max(float((cell - a) @ (b - a)) / length, 0.0), 1.0) if length else 0.0
            result[index] = min(result[index], float(np.linalg.norm(cell - a - share * (b - a))))
    return result


@given(
    st.lists(st.tuples(st.floats(-4, 16), st.floats(-4, 13)), min_size=2, max_size=8),
    st.floats(1, 5),
)
def test_a_stroke_is_as_wide_as_it_says_all_along(points: list[tuple[float, float]], thickness: float) -> None:
    painted = paint_prompts([Scribble(tuple(points), thickness=thickness)], (10, 13))[2]
    expected = np.clip(thickness / 2 + 0.5 - distance_from_segments((10, 13), points), 0, 1)
    assert np.allclose(painted, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 31), (9, 12, 14)])
def test_a_stroke_of_many_segments_is_painted_by_its_places(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    points = [tuple(generator.uniform(0, np.array(shape[::-1]) - 1)) for _ in range(12)]
    once = paint_prompts([Scribble(tuple(points), thickness=2)], shape)[2]
    # There and back so often that the cells around all segments add up to more than are painted one by one.
    often = paint_prompts([Scribble((*points, *points[::-1]) * 600, thickness=2)], shape)[2]
    assert np.abs(often - once).max() < 0.5
    assert np.abs(often - once).mean() < 0.01 * len(shape) ** 2
