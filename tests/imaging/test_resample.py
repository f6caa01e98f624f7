"""Separable resampling: what is linear stays linear, and what is averaged keeps its sum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.imaging.resample import (
    SMALL_PRODUCT,
    AxisWeights,
    apply_matrices,
    apply_weights,
    axis_weights,
    interpolate,
    interpolate_mask,
    voxel_taps,
)

DTYPES = (np.bool_, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64)


def centres(start: float, stop: float, cells: int) -> np.ndarray:
    """Centres of a grid's cells in edge coordinates."""
    return np.asarray(start + (np.arange(cells) + 0.5) * (stop - start) / cells)


@given(
    start=st.floats(-300, 300),
    side=st.floats(0.5, 900),
    cells=st.integers(1, 40),
    size=st.integers(1, 250),
    exact=st.booleans(),
)
def test_rows_are_averages_inside_the_image_and_empty_outside(
    start: float, side: float, cells: int, size: int, exact: bool
) -> None:
    weights = axis_weights(start, start + side, cells, size, exact=exact)
    assert 0 <= weights.start <= weights.stop <= size
    assert weights.matrix.shape == (cells, len(range(weights.start, weights.stop, weights.step)))
    assert (weights.matrix >= 0).all()
    middle = centres(start, start + side, cells)
    half = side / cells / 2
    covered = np.minimum(middle + half, size) - np.maximum(middle - half, 0)
    within = covered > min(half, size / 2) + 1e-6
    without = covered < min(half, size / 2) - 1e-6
    np.testing.assert_allclose(weights.matrix.sum(axis=1)[within], 1.0, atol=1e-5)
    assert weights.inside[within].all()
    assert not weights.inside[without].any()


@given(
    start=st.floats(20, 60),
    scale=st.one_of(st.floats(0.05, 1.0), st.integers(1, 9).map(float)),
    cells=st.integers(1, 20),
)
def test_a_linear_ramp_stays_itself_where_the_grid_is_finer_or_a_whole_factor_coarser(
    start: float, scale: float, cells: int
) -> None:
    weights = axis_weights(start, start + scale * cells, cells, 300, exact=True)
    ramp = 3.0 * (np.arange(300) + 0.5) - 7.0
    sampled = weights.matrix @ ramp[weights.start : weights.stop]
    np.testing.assert_allclose(sampled, 3.0 * centres(start, start + scale * cells, cells) - 7.0, rtol=1e-4, atol=1e-3)


@given(start=st.floats(60, 90), scale=st.floats(1.0, 30.0), exact=st.booleans())
def test_a_linear_ramp_moves_by_less_than_an_eighth_of_a_voxel_at_any_scale(
    start: float, scale: float, exact: bool
) -> None:
    weights = axis_weights(start, start + scale * 12, 12, 600, exact=exact)
    voxels = np.arange(weights.start, weights.stop, weights.step) + 0.5
    # Strided voxels are coarser by the stride, and so is their error.
    difference = np.abs(weights.matrix @ voxels - centres(start, start + scale * 12, 12))
    assert difference.max() < 0.125 * weights.step


@given(factor=st.integers(1, 7), cells=st.integers(5, 12), seed=st.integers(0, 2**32 - 1))
def test_averaging_by_a_whole_factor_conserves_the_sum(factor: int, cells: int, seed: int) -> None:
    size = factor * cells
    values = np.zeros(size)
    # The outer cells average over fewer voxels, so that what they see is left out.
    values[2 * factor : size - 2 * factor] = np.random.default_rng(seed).normal(size=size - 4 * factor)
    weights = axis_weights(0.0, float(size), cells, size, exact=True)
    assert weights.step == 1
    sampled = weights.matrix @ values[weights.start : weights.stop]
    assert sampled.sum() * factor == pytest.approx(values.sum(), abs=1e-4)


@pytest.mark.parametrize("scale", [8.0, 12.5, 20.0, 33.0])
def test_strided_averaging_is_close_to_the_exact_one(scale: float) -> None:
    size, cells = 800, 20
    position = np.arange(size)
    values = np.sin(position / 90.0) + 0.3 * np.cos(position / 37.0)
    coarse = axis_weights(5.0, 5.0 + scale * cells, cells, size)
    exact = axis_weights(5.0, 5.0 + scale * cells, cells, size, exact=True)
    assert coarse.step > 1
    assert exact.step == 1
    used = values[coarse.start : coarse.stop : coarse.step]
    difference = np.abs(coarse.matrix @ used - exact.matrix @ values[exact.start : exact.stop])[coarse.inside]
    assert difference.max() < 0.06


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_sample_type_gives_the_same_float32_answer(dtype: type[np.generic]) -> None:
    array = (np.random.default_rng(0).random((9, 11)) * 1.99).astype(np.int64).astype(dtype)
    weights = [axis_weights(1.0, 8.0, 5, 9), axis_weights(-1.0, 12.0, 7, 11)]
    result = apply_weights(array, weights)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, apply_weights(array.astype(np.float32), weights))


def test_extremes_of_16_bits_neither_wrap_nor_saturate() -> None:
    weights = [axis_weights(0.0, 8.0, 4, 8), axis_weights(0.0, 8.0, 4, 8)]
    for value, dtype in ((65535, np.uint16), (-32768, np.int16), (32767, np.int16)):
        np.testing.assert_allclose(apply_weights(np.full((8, 8), value, dtype), weights), value, rtol=1e-6)


def test_axes_are_resampled_one_by_one_in_any_order() -> None:
    generator = np.random.default_rng(3)
    array = generator.normal(size=(6, 20, 13)).astype(np.float32)
    weights = [axis_weights(0.3, 5.9, 9, 6), axis_weights(1.0, 19.0, 4, 20), axis_weights(-2.0, 9.0, 13, 13)]
    cropped = array[tuple(slice(w.start, w.stop, w.step) for w in weights)]
    expected = np.einsum("ai,bj,ck,ijk->abc", *[w.matrix for w in weights], cropped)
    np.testing.assert_allclose(apply_weights(array, weights), expected, atol=1e-5)


def test_colour_is_carried_along() -> None:
    array = np.random.default_rng(1).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    weights = [axis_weights(2.0, 9.0, 5, 10), axis_weights(0.0, 12.0, 6, 12)]
    result = apply_weights(array, weights)
    assert result.shape == (5, 6, 3)
    for channel in range(3):
        np.testing.assert_allclose(result[..., channel], apply_weights(array[..., channel], weights), rtol=1e-6)


def test_a_grid_away_from_the_image_reads_nothing() -> None:
    weights = axis_weights(500.0, 600.0, 8, 20)
    assert isinstance(weights, AxisWeights)
    assert weights.matrix.shape == (8, 0)
    assert not weights.inside.any()
    np.testing.assert_array_equal(apply_weights(np.ones((20, 20)), [weights, weights]), np.zeros((8, 8)))


@given(start=st.floats(-20, 20), side=st.floats(1, 300), cells=st.integers(1, 30), first=st.integers(-20, 200))
def test_voxels_are_interpolated_linearly_and_hold_the_outer_cells(
    start: float, side: float, cells: int, first: int
) -> None:
    taps = voxel_taps(start, start + side, cells, first, first + 25)
    assert ((taps.share >= 0) & (taps.share <= 1)).all()
    middle = centres(start, start + side, cells)
    expected = np.interp(np.arange(first, first + 25) + 0.5, middle, middle)
    np.testing.assert_allclose(interpolate(middle.astype(np.float32), [taps]), expected, atol=1e-3)


@given(seed=st.integers(0, 2**32 - 1), grid=st.sampled_from([(4, 5), (1, 3), (3, 4, 5), (6, 1, 2)]))
def test_interpolation_of_several_axes_is_one_after_the_other(seed: int, grid: tuple[int, ...]) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=grid).astype(np.float32)
    starts, stops = generator.uniform(-5, 0, len(grid)), generator.uniform(8, 30, len(grid))
    firsts, counts = generator.integers(-8, 8, len(grid)), generator.integers(1, 20, len(grid))
    taps = [voxel_taps(a, b, n, f, f + c) for a, b, n, f, c in zip(starts, stops, grid, firsts, counts, strict=True)]
    expected = values.astype(np.float64)
    for axis, (a, b, n, f, c) in enumerate(zip(starts, stops, grid, firsts, counts, strict=True)):
        middle, voxels = centres(a, b, n), np.arange(f, f + c) + 0.5
        expected = np.apply_along_axis(lambda row, m=middle, v=voxels: np.interp(v, m, row), axis, expected)
    found = interpolate(values, taps)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    mask = interpolate_mask(values, taps)
    assert mask.dtype == np.uint8
    clear = np.abs(found) > 1e-5
    np.testing.assert_array_equal(mask[clear], found[clear] > 0)


def test_apply_matrices_is_a_product_per_axis() -> None:
    generator = np.random.default_rng(2)
    array = generator.normal(size=(4, 5, 6)).astype(np.float32)
    matrices = [generator.normal(size=(n, m)).astype(np.float32) for n, m in ((7, 4), (2, 5), (11, 6))]
    expected = np.einsum("ai,bj,ck,ijk->abc", *matrices, array)
    np.testing.assert_allclose(apply_matrices(array, matrices), expected, atol=1e-4)


def test_products_are_too_small_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of the library that multiplies would take the cores from the network."""
    sizes: list[int] = []
    multiply: Any = np.matmul

    def watched(left: NDArray[Any], right: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        sizes.append(left.shape[-2] * left.shape[-1] * right.shape[-1])
        product: NDArray[Any] = multiply(left, right, out=out)
        return product

    monkeypatch.setattr(np, "matmul", watched)
    volume = np.random.default_rng(4).normal(size=(40, 256, 256)).astype(np.float32)
    weights = [axis_weights(-3.0, 43.0, 64, 40, per_cell=2), *[axis_weights(1.0, 250.0, 64, 256, per_cell=2)] * 2]
    result = apply_weights(volume, weights)
    assert 0 < max(sizes) <= SMALL_PRODUCT
    cropped = volume[:, weights[1].start : weights[1].stop, weights[2].start : weights[2].stop]
    expected = np.einsum("ai,bj,ck,ijk->abc", *[w.matrix for w in weights], cropped, optimize=True)
    np.testing.assert_allclose(result, expected, atol=1e-4)
