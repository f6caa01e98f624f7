"""Windows: where cells lie, what they see, and that prompts and voxels meet in the same cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.imaging.paint import fill_polygon, paint_prompts
from bedside.imaging.window import Window

Pair = tuple[tuple[int, ...], Window]


@st.composite
def windows(draw: st.DrawFn) -> Pair:
    """An image's shape of 2 or 3 axes, and a window within, across or outside it."""
    axes = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, 40)) for _ in range(axes))
    start = tuple(draw(st.floats(-60, 60)) for _ in range(axes))
    sides = tuple(draw(st.floats(1, 90)) for _ in range(axes))
    grid = tuple(draw(st.integers(1, 12)) for _ in range(axes))
    return shape, Window(start, tuple(a + s for a, s in zip(start, sides, strict=True)), grid)


def cell_centres(window: Window) -> list[np.ndarray]:
    """Centres of the cells along each axis, in edge coordinates."""
    return [a + (np.arange(g) + 0.5) * s for a, s, g in zip(window.start, window.scale, window.grid, strict=True)]


@given(windows())
def test_a_window_is_described_alike_by_its_corners_and_its_centre(pair: Pair) -> None:
    _, window = pair
    again = Window.centred(window.centre, window.sides, window.grid)
    np.testing.assert_allclose(again.start, window.start, atol=1e-9)
    np.testing.assert_allclose(again.stop, window.stop, atol=1e-9)
    larger = window.enlarged(1.5)
    np.testing.assert_allclose(larger.centre, window.centre, atol=1e-9)
    np.testing.assert_allclose(larger.sides, np.multiply(window.sides, 1.5))
    assert larger.grid == window.grid


@given(windows())
def test_the_region_holds_the_voxels_whose_centres_lie_inside(pair: Pair) -> None:
    shape, window = pair
    inside = np.ones(shape, bool)
    for axis, (low, high) in enumerate(zip(window.start, window.stop, strict=True)):
        middle = np.arange(shape[axis]) + 0.5
        kept = (middle >= low) & (middle < high)
        inside &= kept.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    region = window.region(shape)
    painted = np.zeros(shape, bool)
    painted[region.slices] = True
    np.testing.assert_array_equal(painted, inside)


@given(windows(), st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]), st.booleans())
def test_a_constant_image_stays_constant_and_cells_outside_are_zero(pair: Pair, dtype: Any, exact: bool) -> None:
    shape, window = pair
    samples, inside = window.sample(np.full(shape, 201, dtype), exact=exact)
    assert samples.shape == (1, *window.grid)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples[0][inside], 201, rtol=1e-5)
    assert (samples[0][~inside] == 0).all()


@given(windows())
def test_inside_means_that_the_image_covers_half_of_what_it_could_of_a_cell(pair: Pair) -> None:
    shape, window = pair
    _, inside = window.sample(np.zeros(shape))
    surely = np.ones(window.grid, bool)
    perhaps = np.ones(window.grid, bool)
    for axis, middle in enumerate(cell_centres(window)):
        wide = [-1 if a == axis else 1 for a in range(len(shape))]
        half = window.scale[axis] / 2
        covered = np.minimum(middle + half, shape[axis]) - np.maximum(middle - half, 0)
        surely &= (covered > min(half, shape[axis] / 2) + 1e-6).reshape(wide)
        perhaps &= (covered > min(half, shape[axis] / 2) - 1e-6).reshape(wide)
    assert inside[surely].all()
    assert perhaps[inside].all()


@given(
    start=st.tuples(*[st.floats(10, 14)] * 3),
    scale=st.tuples(*[st.one_of(st.floats(0.1, 1.0), st.integers(1, 3).map(float))] * 3),
    axes=st.integers(2, 3),
)
def test_sampling_a_ramp_gives_the_ramp(start: tuple[float, ...], scale: tuple[float, ...], axes: int) -> None:
    start, scale, grid, slope = start[:axes], scale[:axes], (5, 4, 6)[:axes], (0.5, -2.0, 3.0)[:axes]
    window = Window(start, tuple(a + s * g for a, s, g in zip(start, scale, grid, strict=True)), grid)
    shape = (40, 38, 36)[:axes]
    image = sum(c * (i + 0.5) for c, i in zip(slope, np.indices(shape), strict=True)) + 11.0
    expected = sum(c * m for c, m in zip(slope, np.meshgrid(*cell_centres(window), indexing="ij"), strict=True))
    samples, inside = window.sample(np.asarray(image), exact=True)
    assert inside.all()
    np.testing.assert_allclose(samples[0], expected + 11.0, atol=2e-3)


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("axes", [2, 3])
def test_exact_averaging_by_a_whole_factor_conserves_the_mean(factor: int, axes: int) -> None:
    grid = (6, 8, 7)[:axes]
    shape = tuple(g * factor for g in grid)
    image = np.zeros(shape)
    core = tuple(slice(2 * factor, -2 * factor) for _ in shape)
    image[core] = np.random.default_rng(factor).random(image[core].shape)
    samples, _ = Window((0.0,) * axes, tuple(map(float, shape)), grid).sample(image, exact=True)
    assert samples.mean() == pytest.approx(image.mean(), rel=1e-5)


def test_strides_are_taken_only_where_they_are_asked_for() -> None:
    smooth = np.add.outer(np.sin(np.arange(900) / 60), np.cos(np.arange(900) / 75))
    window = Window((3.5, -20.0), (890.0, 830.0), (32, 32))
    near, inside = window.sample(smooth)
    exact, same = window.sample(smooth, exact=True)
    np.testing.assert_array_equal(inside, same)
    assert not np.array_equal(near, exact)
    assert np.abs(near - exact).max() < 0.12
    assert np.abs(near - exact).mean() < 0.03


def test_a_window_beyond_the_image_holds_zeros_and_knows_it() -> None:
    samples, inside = Window((100.0, 0.0), (130.0, 30.0), (8, 8)).sample(np.ones((20, 30)))
    assert not inside.any()
    assert not samples.any()
    assert Window((100.0, 0.0), (130.0, 30.0), (8, 8)).region((20, 30)).is_empty


def test_a_window_half_outside_sees_the_half_inside() -> None:
    samples, inside = Window((-8.0, 0.0), (8.0, 16.0), (16, 16)).sample(np.full((16, 16), 7.0))
    np.testing.assert_array_equal(inside, np.arange(16)[:, None].repeat(16, 1) >= 8)
    np.testing.assert_allclose(samples[0], 7.0 * inside)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgb_becomes_three_channels(dtype: Any) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (17, 23, 3)).astype(dtype)
    window = Window((2.3, 1.0), (15.0, 20.0), (6, 9))
    samples, _ = window.sample(image)
    assert samples.shape == (3, 6, 9)
    for channel in range(3):
        np.testing.assert_allclose(samples[channel], window.sample(image[..., channel])[0][0], rtol=1e-5)


@given(windows(), st.integers(0, 2**32 - 1))
def test_expand_interpolates_between_cell_centres(pair: Pair, seed: int) -> None:
    shape, window = pair
    region = window.region(shape)
    values = np.random.default_rng(seed).normal(size=window.grid).astype(np.float32)
    expanded = window.expand(values, region)
    assert expanded.shape == region.shape
    if region.is_empty:
        return
    expected = values.astype(np.float64)
    for axis, middle in enumerate(cell_centres(window)):
        at = np.arange(region.start[axis], region.stop[axis]) + 0.5
        expected = np.apply_along_axis(lambda v, at=at, m=middle: np.interp(at, m, v), axis, expected)
    np.testing.assert_allclose(expanded, expected, atol=2e-4)


@pytest.mark.parametrize(("shape", "grid"), [((90, 120), (48, 48)), ((40, 50), (64, 64)), ((30, 36, 42), (24, 24, 24))])
def test_a_smooth_field_survives_the_way_to_the_grid_and_back(shape: tuple[int, ...], grid: tuple[int, ...]) -> None:
    axes = [np.sin(np.arange(n) * 2 * np.pi / n) for n in shape]
    field = np.asarray(sum(np.ix_(*axes)))
    window = Window((0.0,) * len(shape), tuple(map(float, shape)), grid)
    samples, _ = window.sample(field)
    back = window.expand(samples[0], Region.whole(shape))
    core = tuple(slice(n // 8, -(n // 8)) for n in shape)
    assert np.abs(back - field)[core].max() < 0.05


@st.composite
def box_in_cells(draw: st.DrawFn) -> tuple[int, tuple[int, ...], Box]:
    """A factor, a grid, and a box with whole corners in the image of that grid, no thinner than a cell."""
    axes = draw(st.integers(2, 3))
    factor = draw(st.integers(1, 5))
    grid = tuple(draw(st.integers(2, 8)) for _ in range(axes))
    low, high = [], []
    for cells in grid[::-1]:
        low.append(draw(st.integers(0, (cells - 1) * factor)))
        high.append(draw(st.integers(low[-1] + factor, cells * factor)))
    return factor, grid, Box(tuple(map(float, low)), tuple(map(float, high)))


@given(box_in_cells())
def test_a_box_painted_on_the_grid_is_the_box_mask_averaged_over_its_cells(
    case: tuple[int, tuple[int, ...], Box],
) -> None:
    factor, grid, box = case
    shape = tuple(g * factor for g in grid)
    mask = np.zeros(shape)
    mask[tuple(slice(int(a), int(b)) for a, b in zip(box.low[::-1], box.high[::-1], strict=True))] = 1
    blocks = mask.reshape([n for g in grid for n in (g, factor)])
    expected = blocks.mean(axis=tuple(range(1, 2 * len(grid), 2)))
    window = Window((0.0,) * len(grid), tuple(map(float, shape)), grid)
    np.testing.assert_allclose(paint_prompts([window.to_grid(box)], grid)[0], expected, atol=1e-5)


@given(
    start=st.tuples(st.floats(-15, 15), st.floats(-15, 15)),
    scale=st.floats(0.3, 4.0),
    corner=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    side=st.tuples(st.integers(4, 20), st.integers(4, 20)),
)
def test_a_box_and_its_mask_fall_on_the_same_cells_of_any_window(
    start: tuple[float, float], scale: float, corner: tuple[int, int], side: tuple[int, int]
) -> None:
    window = Window(start, tuple(a + 16 * scale for a in start), (16, 16))
    low, high = corner, (corner[0] + side[0], corner[1] + side[1])
    mask = np.zeros((60, 60), np.uint8)
    mask[low[1] : high[1], low[0] : high[0]] = 1
    sampled = window.sample(mask, exact=True)[0][0]
    painted = paint_prompts([window.to_grid(Box(tuple(map(float, low)), tuple(map(float, high))))], (16, 16))[0]
    # Both are 1 in the box and 0 away from it; they ramp differently within a cell and a voxel of its faces.
    y, x = np.meshgrid(*cell_centres(window), indexing="ij")
    margin = np.minimum.reduce([x - low[0], high[0] - x, y - low[1], high[1] - y])
    deep, far = margin > max(scale, 1) * 1.01, margin < -max(scale, 1) * 1.01
    seen = window.sample(mask)[1]
    np.testing.assert_allclose(painted[deep], 1, atol=1e-5)
    np.testing.assert_allclose(sampled[deep & seen], 1, atol=1e-5)
    np.testing.assert_allclose(painted[far], 0, atol=1e-5)
    np.testing.assert_allclose(sampled[far], 0, atol=1e-5)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_box_of_one_voxel_is_not_lost_in_a_wide_window(axes: int) -> None:
    grid, shape = (16,) * axes, (1024,) * axes
    window = Window((0.0,) * axes, tuple(map(float, shape)), grid)
    for voxel in (0, 31, 64, 500, 1023):
        box = Box((float(voxel),) * axes, (voxel + 1.0,) * axes)
        painted = paint_prompts([window.to_grid(box)], grid)[0]
        # A cell's worth of it, less what a widened box loses beyond the grid.
        assert painted.sum() >= 0.5**axes
        peak = np.unravel_index(painted.argmax(), grid)
        assert all(abs(int(p) - voxel / 64) <= 1 for p in peak)


def test_a_flat_box_in_a_volume_keeps_a_cell_of_thickness() -> None:
    window = Window((0.0, 0.0, 0.0), (80.0, 80.0, 80.0), (16, 16, 16))
    painted = paint_prompts([window.to_grid(Box((20.0, 20.0, 42.0), (60.0, 60.0, 43.0)))], (16, 16, 16))[0]
    assert painted.sum(axis=0).max() == pytest.approx(1.0)
    np.testing.assert_array_equal(np.unique(np.nonzero(painted)[0]), [8])


@given(
    position=st.tuples(st.integers(0, 59), st.integers(0, 59)),
    start=st.tuples(st.floats(-10, 5), st.floats(-10, 5)),
    scale=st.floats(0.25, 5.0),
)
def test_a_point_peaks_in_the_cell_nearest_to_its_voxels_centre(
    position: tuple[int, int], start: tuple[float, float], scale: float
) -> None:
    window = Window(start, tuple(a + 16 * scale for a in start), (16, 16))
    painted = paint_prompts([window.to_grid(Point(tuple(map(float, position))))], (16, 16))[2]
    y, x = np.meshgrid(*cell_centres(window), indexing="ij")
    distance = np.hypot(x - position[0] - 0.5, y - position[1] - 0.5) / scale
    if painted.max() > 0:
        assert distance.ravel()[painted.argmax()] == pytest.approx(distance.min(), abs=1e-6)
    assert (painted[distance > 4.01] == 0).all()
    assert (painted[distance < 3.99] > 0).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    start=st.tuples(st.floats(-10, 5), st.floats(-10, 5)),
    scale=st.floats(0.4, 3.0),
)
def test_a_lasso_and_its_mask_fall_on_the_same_cells(seed: int, start: tuple[float, float], scale: float) -> None:
    generator = np.random.default_rng(seed)
    angles = np.sort(generator.uniform(0, 2 * np.pi, 9))
    radii = generator.uniform(6, 22, 9)
    outline = np.stack([25 + radii * np.cos(angles), 25 + radii * np.sin(angles)], axis=1)
    window = Window(start, tuple(a + 24 * scale for a in start), (24, 24))
    painted = paint_prompts([window.to_grid(Lasso(tuple(map(tuple, outline))))], (24, 24))[0]
    mask = fill_polygon(outline[:, ::-1], (60, 60))
    sampled, inside = window.sample(mask, exact=True)
    certain = inside & ((sampled[0] < 1e-3) | (sampled[0] > 1 - 1e-3))
    # Cells within the outline's reach may differ: one fill asks at cells, the other at voxels.
    assert np.count_nonzero(painted[certain] != np.round(sampled[0][certain])) <= 0.02 * certain.sum()


def test_strokes_keep_their_place_and_a_cell_of_width() -> None:
    window = Window((10.0, 10.0), (74.0, 74.0), (16, 16))
    scribble = Scribble(((20.0, 30.0), (60.0, 30.0)), positive=False, connected=False, thickness=2.0)
    moved = window.to_grid(scribble)
    assert isinstance(moved, Scribble)
    assert (moved.thickness, moved.positive, moved.connected) == (1.0, False, False)
    np.testing.assert_allclose(moved.points, [(2.125, 4.625), (12.125, 4.625)])
    thick = window.to_grid(Scribble(scribble.points, thickness=12.0))
    assert isinstance(thick, Scribble)
    assert thick.thickness == pytest.approx(3.0)


@given(windows(), st.booleans())
def test_to_grid_keeps_kind_sign_and_number_of_axes(pair: Pair, positive: bool) -> None:
    _, window = pair
    axes = len(window.grid)
    corner, end = (1.0,) * axes, (5.0, 6.0, 7.0)[:axes]
    prompts: list[Prompt] = [
        Point(corner, positive),
        Box(corner, end, positive),
        Scribble((corner, end), positive),
        Lasso((corner, end, (3.0,) * axes), positive),
    ]
    for prompt in prompts:
        moved = window.to_grid(prompt)
        assert (moved.kind, moved.positive, moved.ndim) == (prompt.kind, positive, axes)
    mask = InitialMask(np.ones((3,) * axes, bool))
    assert window.to_grid(mask) is mask


@pytest.mark.parametrize("shape", [(3, 512, 512), (20, 3000)])
def test_an_image_thinner_than_a_cell_is_still_seen(shape: tuple[int, ...]) -> None:
    axes = len(shape)
    window = Window.centred([n / 2 for n in shape], (float(max(shape)),) * axes, (128,) * axes)
    samples, inside = window.sample(np.ones(shape, np.uint8))
    assert inside.any()
    assert samples.max() == pytest.approx(1.0)


def test_samples_that_are_not_numbers_stay_where_they_are() -> None:
    image = np.ones((64, 64), np.float32)
    image[10, 10] = np.nan
    image[20, 20] = np.inf
    samples, _ = Window((0.0, 0.0), (64.0, 64.0), (32, 32)).sample(image)
    assert np.isfinite(samples).all()
    assert (samples[0, 16:] == 1).all()
