"""Windows as nnInteractive resamples them, against torch's own resampling of the padded crop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.prompts import Box, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.engines.nninteractive import cube
from bedside.engines.nninteractive.channels import InteractionChannels
from bedside.engines.nninteractive.cube import (
    area_weights,
    cube_region,
    dilation_kernel,
    expand_mask,
    inside_image,
    part_of,
    sample_image,
    sample_nearest,
    sample_prompts,
)
from bedside.engines.nninteractive.nonzero import nonzero_statistics, normalise_nonzero
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.imaging.window import Window

torch = pytest.importorskip("torch")

PROMPTS: tuple[Prompt, ...] = (
    Point((9.0, 8.0, 7.0)),
    Box((3.0, 4.0, 9.0), (15.0, 12.0, 10.0)),
    Scribble(((4.0, 5.0, 6.0), (15.0, 5.0, 6.0))),
    Lasso(((4.0, 9.0, 4.0), (14.0, 9.0, 4.0), (9.0, 9.0, 14.0)), positive=False),
    Point((2.0, 3.0, 4.0), positive=False),
)


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int, int], Window]:
    """A volume's shape and a window of whole voxels that may lie anywhere about it."""
    shape = tuple(draw(st.integers(3, 24)) for _ in range(3))
    grid = draw(st.sampled_from([8, 12]))
    side = draw(st.integers(grid, 4 * grid))
    start = [draw(st.integers(-side + 1, n - 1)) for n in shape]
    stop = [float(s + side) for s in start]
    return shape, Window(tuple(map(float, start)), tuple(stop), (grid,) * 3)  # type: ignore[return-value]


def volume(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(100, 900, shape).astype(np.int16)


def resized(array: NDArray[Any], grid: tuple[int, ...], mode: str) -> NDArray[np.float32]:
    tensor = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None, None]
    extra = {"align_corners": False} if mode == "trilinear" else {}
    return np.asarray(torch.nn.functional.interpolate(tensor, grid, mode=mode, **extra)[0, 0].numpy())


@settings(max_examples=60)
@given(case=windows())
def test_the_image_is_interpolated_as_the_normalised_padded_crop(case: tuple[tuple[int, int, int], Window]) -> None:
    shape, window = case
    array = volume(shape)
    statistics = nonzero_statistics(array)
    padded = part_of(normalise_nonzero(array, statistics), cube_region(window))
    expected = resized(padded, window.grid, "trilinear")
    np.testing.assert_allclose(sample_image(array, window, statistics), expected, atol=1e-5)


@settings(max_examples=60)
@given(case=windows(), slab=st.sampled_from([200, 3000, 10**7]))
def test_prompts_are_widened_and_averaged(case: tuple[tuple[int, int, int], Window], slab: int) -> None:
    shape, window = case
    settings_ = InteractionSettings(point_radius=2)
    previous = (volume(shape, 1) > 500).astype(np.uint8)
    channels = InteractionChannels(cube_region(window), settings_)
    for prompt in PROMPTS:
        channels.add(prompt)
    channels.set_previous(part_of(previous, cube_region(window)))
    expected = []
    kernel = dilation_kernel(max(window.scale))
    for number, values in enumerate(channels.values()):
        if number in (3, 4, 5, 6):
            widened = torch.nn.functional.max_pool3d(torch.from_numpy(values)[None], kernel, 1, kernel // 2)
            values = widened[0].numpy()  # noqa: PLW2901
        expected.append(resized(values, window.grid, "area"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cube, "SLAB_VOXELS", slab)
        found = sample_prompts(PROMPTS, previous, window, settings_)
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)


def test_the_kernel_is_the_odd_number_nearest_to_twice_the_zoom_less_one() -> None:
    assert [dilation_kernel(z) for z in (1, 1.5, 2.25, 3.375, 4)] == [1, 3, 3, 5, 7]


def test_a_thin_stroke_survives_the_widest_window() -> None:
    stroke = Scribble(((10.0, 30.0, 20.0), (50.0, 30.0, 20.0)), thickness=1.0)
    window = Window((0.0,) * 3, (64.0,) * 3, (16,) * 3)
    painted = sample_prompts([stroke], None, window, InteractionSettings())
    assert painted[5].max() > 0.9
    # Averaging alone would leave a sixteenth of it.
    thin = InteractionChannels(Region((0,) * 3, (64,) * 3))
    thin.add(stroke)
    assert resized(thin.values()[5], (16,) * 3, "area").max() < 0.1


def test_a_previous_mask_may_begin_anywhere() -> None:
    mask = np.ones((4, 5, 6), np.uint8)
    window = Window((0.0,) * 3, (16.0,) * 3, (16,) * 3)
    found = sample_prompts([], mask, window, InteractionSettings(), (2, 3, 4))[0]
    expected = np.zeros((16, 16, 16))
    expected[2:6, 3:8, 4:10] = 1
    np.testing.assert_array_equal(found, expected)


@given(voxels=st.integers(1, 60), cells=st.integers(1, 20))
def test_area_weights_average(voxels: int, cells: int) -> None:
    values = np.random.default_rng(0).normal(size=voxels).astype(np.float32)
    expected = torch.nn.functional.adaptive_avg_pool1d(torch.from_numpy(values)[None], cells)[0].numpy()
    np.testing.assert_allclose(area_weights(voxels, cells) @ values, expected, atol=1e-5)


@settings(max_examples=60)
@given(case=windows())
def test_nearest_cells_and_those_inside(case: tuple[tuple[int, int, int], Window]) -> None:
    shape, window = case
    ones = np.ones(shape, np.uint8)
    np.testing.assert_array_equal(sample_nearest(ones, window), inside_image(window, shape))
    mask = (volume(shape) > 500).astype(np.uint8)
    padded = part_of(mask, cube_region(window))
    expected = resized(padded, window.grid, "nearest-exact") > 0
    np.testing.assert_array_equal(sample_nearest(mask, window), expected)


@settings(max_examples=40)
@given(case=windows(), slab=st.sampled_from([50, 10**6]))
def test_a_mask_is_expanded_linearly_and_cut_at_one_half(case: tuple[tuple[int, int, int], Window], slab: int) -> None:
    shape, window = case
    mask = np.random.default_rng(1).random(window.grid) > 0.6
    region = cube_region(window).clip(shape)
    whole = resized(mask, cube_region(window).shape, "trilinear")
    part = region.shift([-s for s in cube_region(window).start])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cube, "SLAB_VOXELS", slab)
        found = expand_mask(mask, window, region)
    sure = np.abs(whole[part.slices] - 0.5) > 1e-4
    np.testing.assert_array_equal(found[sure], (whole[part.slices] > 0.5)[sure])


def test_at_full_resolution_a_mask_comes_back_as_it_is() -> None:
    mask = np.random.default_rng(2).random((12, 12, 12)) > 0.5
    window = Window((-3.0, 2.0, 4.0), (9.0, 14.0, 16.0), (12,) * 3)
    region = cube_region(window).clip((8, 20, 20))
    np.testing.assert_array_equal(expand_mask(mask, window, region), mask[3:11])


def test_nothing_of_a_window_beyond_the_image() -> None:
    array = volume((5, 6, 7))
    window = Window((20.0,) * 3, (28.0,) * 3, (8,) * 3)
    assert not sample_image(array, window, (0.0, 1.0)).any()
    assert not inside_image(window, array.shape).any()
