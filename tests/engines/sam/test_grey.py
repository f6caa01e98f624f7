"""Samples of any range to bytes, as the challenge's files hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.engines.sam.grey import byte_scale


def in_bytes(array: NDArray[Any], modality: str | None = None) -> NDArray[np.uint8]:
    scale = byte_scale(Image.from_array(array, modality=modality))
    assert scale is not None
    result = scale(array)
    assert result.dtype == np.uint8
    assert result.shape == array.shape
    return result


def test_bytes_are_taken_as_they_are() -> None:
    assert byte_scale(Image.from_array(np.zeros((4, 4), np.uint8))) is None
    assert in_bytes(np.array([[0, 100, 255]], np.int16)).tolist() == [[0, 100, 255]]
    assert in_bytes(np.array([[False, True]])).tolist() == [[0, 255]]


@pytest.mark.parametrize("modality", ["CT", "CT (head slice)"])
def test_ct_is_windowed_for_the_abdomen(modality: str) -> None:
    values = np.array([[-1000, -160, 40, 240, 3000]], np.int16)
    assert in_bytes(values, modality).tolist() == [[0, 0, 127, 255, 255]]
    # What there is of the window is stretched.
    assert in_bytes(np.array([[40, 90, 140]], np.int16), modality).tolist() == [[0, 127, 255]]


def test_others_are_cut_at_percentiles_and_nothing_stays_nothing() -> None:
    values = np.arange(-500, 10_001, dtype=np.int32)[None]
    found = in_bytes(values, "MR")[0]
    assert found[500] == 0
    assert found[values[0] <= 50].max() == 0
    assert found[values[0] >= 9_951].min() == 255
    assert found[values[0] == 5_000] == 127
    assert (np.diff(found.astype(int)) >= 0).all()


def test_samples_that_are_no_numbers_do_no_harm() -> None:
    values = np.linspace(0.1, 50, 400, dtype=np.float32).reshape(20, 20)
    values[0, 0], values[0, 1] = np.nan, np.inf
    found = in_bytes(values)
    assert found[0, 0] == 0
    assert found[0, 1] == 255
    assert in_bytes(np.full((3, 3), np.nan)).max() == 0
    assert in_bytes(np.full((3, 3), 7.5)).max() == 0
