"""Rescaling, label values and byte order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.core.errors import FormatError
from bedside.io.samples import as_labels, native, pick_volume, rescale

dtypes = st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32"])


@given(dtype=dtypes, shift=st.integers(-100_000, 100_000), seed=st.integers(0, 2**32 - 1))
def test_whole_shifts_are_exact_integers(dtype: str, shift: int, seed: int) -> None:
    limits = np.iinfo(dtype)
    array = np.random.default_rng(seed).integers(limits.min, limits.max, 20, dtype=dtype, endpoint=True)
    shifted = rescale(array, 1, shift)
    assert shifted.dtype.kind in "ui"
    np.testing.assert_array_equal(shifted.astype(np.int64), array.astype(np.int64) + shift)


def test_nothing_to_rescale_is_no_copy() -> None:
    array = np.zeros(3, np.int16)
    assert rescale(array, 1, 0) is array
    assert native(array) is array


@pytest.mark.parametrize(("dtype", "result"), [("uint8", "float32"), ("int16", "float32"), ("int32", "float64")])
def test_scaled_samples_are_floats(dtype: str, result: str) -> None:
    scaled = rescale(np.array([1, 2], dtype), 0.5, 1)
    assert scaled.dtype == np.dtype(result)
    np.testing.assert_array_equal(scaled, [1.5, 2])


def test_labels() -> None:
    for dtype in ("uint8", "uint16"):
        array = np.ones(3, dtype)
        assert as_labels(array, "m") is array
    assert as_labels(np.array([True]), "m").dtype == np.uint8
    assert as_labels(np.array([0.0, 256.0]), "m").dtype == np.uint16
    assert as_labels(np.array([0, 255], np.int64), "m").dtype == np.uint8
    with pytest.raises(FormatError, match="whole numbers"):
        as_labels(np.array([1j]), "m")


def test_byte_order() -> None:
    swapped = native(np.array([1, 2], ">i2"))
    assert swapped.dtype.isnative
    np.testing.assert_array_equal(swapped, [1, 2])


def test_volume_choice() -> None:
    assert pick_volume(Path("a"), 1, None) == 0
    assert pick_volume(Path("a"), 3, 2) == 2
    for count, volume in ((3, None), (3, 3), (3, -1), (1, 1)):
        with pytest.raises(FormatError, match="--volume"):
            pick_volume(Path("a"), count, volume)
