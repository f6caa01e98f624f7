"""Normalising a window: its own statistics, whatever came in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.imaging.intensity import normalise_window


@given(
    seed=st.integers(0, 2**32 - 1),
    gain=st.floats(1e-3, 1e5),
    offset=st.floats(-1e4, 1e4),
    share=st.floats(0.05, 1.0),
)
def test_mean_0_and_deviation_1_inside_and_zeros_outside(seed: int, gain: float, offset: float, share: float) -> None:
    generator = np.random.default_rng(seed)
    # An offset far larger than the contrast costs float32 its digits, in any formula.
    samples = (generator.normal(size=(1, 40, 44)) + offset / 1e3) * gain
    inside = generator.random((40, 44)) < share
    inside[0, :2] = True
    result = normalise_window(samples, inside)
    assert result.shape == samples.shape
    assert result.dtype == np.float32
    assert (result[:, ~inside] == 0).all()
    assert result[:, inside].mean() == pytest.approx(0, abs=2e-3)
    assert result[:, inside].std() == pytest.approx(1, abs=5e-3)


def test_what_lies_outside_has_no_say() -> None:
    samples = np.random.default_rng(0).normal(size=(1, 32, 32)).astype(np.float32)
    inside = np.zeros((32, 32), bool)
    inside[:20] = True
    other = samples.copy()
    other[:, 20:] = 1e6
    np.testing.assert_array_equal(normalise_window(samples, inside), normalise_window(other, inside))


@given(value=st.floats(-1e6, 1e6, width=32), rows=st.integers(1, 140), channels=st.sampled_from([1, 3]))
def test_a_constant_window_becomes_finite_and_small(value: float, rows: int, channels: int) -> None:
    result = normalise_window(np.full((channels, rows, 97), value, np.float32))
    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 10


def test_a_window_outside_the_image_is_all_zero() -> None:
    result = normalise_window(np.zeros((3, 8, 8), np.float32), np.zeros((8, 8), bool))
    np.testing.assert_array_equal(result, np.zeros((3, 8, 8)))


def test_brightness_and_contrast_make_no_difference() -> None:
    samples = np.random.default_rng(1).gamma(2.0, size=(1, 64, 64))
    np.testing.assert_allclose(
        normalise_window(samples * 870.0 - 1024.0), normalise_window(samples), rtol=1e-3, atol=1e-3
    )


def test_colour_channels_share_their_statistics() -> None:
    generator = np.random.default_rng(2)
    samples = generator.normal(size=(3, 32, 32)) + np.array([0.0, 5.0, 10.0])[:, None, None]
    result = normalise_window(samples)
    means = result.mean(axis=(1, 2))
    assert means[0] < means[1] < means[2]
    assert result.mean() == pytest.approx(0, abs=1e-4)
    # Every sample went through the same line, so that equal values stay equal across channels.
    order = np.argsort(samples.ravel())
    assert (np.diff(result.ravel()[order]) >= -1e-6).all()


@pytest.mark.parametrize("outlier", [1e12, -1e12, 1e30])
def test_a_few_extreme_samples_do_not_flatten_the_rest(outlier: float) -> None:
    samples = np.random.default_rng(3).normal(size=(1, 64, 64))
    samples[0, 10, 10:14] = outlier
    result = normalise_window(samples)
    assert np.isfinite(result).all()
    assert np.abs(result).max() < 10
    rest = np.delete(result.ravel(), np.arange(64 * 10 + 10, 64 * 10 + 14))
    assert rest.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float64])
def test_any_sample_type(dtype: type[np.generic]) -> None:
    samples = np.arange(64 * 64).reshape(1, 64, 64) % 251
    np.testing.assert_allclose(
        normalise_window(samples.astype(dtype)), normalise_window(samples.astype(np.float32)), atol=1e-6
    )


def test_the_input_is_left_as_it_was() -> None:
    samples = np.random.default_rng(4).normal(size=(1, 16, 16)).astype(np.float32)
    before = samples.copy()
    normalise_window(samples, np.zeros((16, 16), bool))
    normalise_window(samples, np.tri(16, dtype=bool))
    np.testing.assert_array_equal(samples, before)


def test_a_speck_in_a_flat_window_is_still_seen() -> None:
    samples = np.zeros((1, 64, 64), np.float32)
    samples[0, 30:32, 30:32] = 9.0
    result = normalise_window(samples)
    assert result[0, 30, 30] > result[0, 0, 0] + 1
