from __future__ import annotations

import numpy as np
import pytest

from bedside.challenge.intensity import (
    WINDOWS,
    IntensityWindow,
    percentiles_to_bytes,
    picture_to_bytes,
    window_to_bytes,
)
from bedside.core.errors import InputError


def test_the_ct_window_by_hand():
    array = np.array([-1000, -160, 40, 139, 240, 3000], np.int16)
    # 40 is the middle of -160..240: 127.5, cut off; 139 is 299/400 of the way.
    assert window_to_bytes(array, WINDOWS["abdomen"]).tolist() == [0, 0, 127, 190, 255, 255]
    # What is there is stretched, even where it does not fill the window.
    assert window_to_bytes(np.array([0, 100]), WINDOWS["abdomen"]).tolist() == [0, 255]
    assert window_to_bytes(np.full(3, 7), WINDOWS["abdomen"]).tolist() == [0, 0, 0]
    with pytest.raises(InputError):
        IntensityWindow(0, 0)


def test_percentiles_are_of_what_is_above_zero():
    array = np.concatenate([np.zeros(5000), np.arange(1, 1001), [-50.0]])
    result = percentiles_to_bytes(array)
    low, high = np.percentile(np.arange(1, 1001), (0.5, 99.5))
    assert result[5000 + 499] == int((500 - low) / (high - low) * 255)
    assert (result[:5000] == 0).all()
    assert result[5000:6000].min() == 0
    assert result[5999] == 255
    assert percentiles_to_bytes(np.zeros((2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_zeros_stay_zero_where_everything_else_is_far_away():
    array = np.array([0, 100, 101, 102])
    assert percentiles_to_bytes(array)[0] == 0


def test_pictures():
    colour = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(picture_to_bytes(colour), colour)
    grey = picture_to_bytes(colour[..., 0])
    assert grey.shape == (2, 4, 3)
    np.testing.assert_array_equal(grey[..., 2], colour[..., 0])
    assert picture_to_bytes(np.array([[0, 1000, 4000]], np.uint16))[0, :, 0].tolist() == [0, 63, 255]
    assert picture_to_bytes(np.array([[False, True]]))[0, :, 0].tolist() == [0, 255]
    spread = np.arange(1, 251, dtype=np.uint8).reshape(10, 25)
    assert picture_to_bytes(spread, cut_off=True).max() == 255
    assert picture_to_bytes(spread).max() == 250
