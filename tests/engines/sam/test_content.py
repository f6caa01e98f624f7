from __future__ import annotations

import numpy as np
import pytest

from bedside.engines.sam.content import content_crop, crop_input

COLOURS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def test_the_last_pixels_belong_to_the_box() -> None:
    assert np.array_equal(content_crop(COLOURS, (1, 2, 3, 3)), COLOURS[2:4, 1:4])


@pytest.mark.parametrize(
    ("corners", "shape"),
    [((2.9, 1.2, 2.9, 1.9), (1, 1)), ((-4, -4, 90, 90), (5, 7)), ((90, 90, 99, 99), (1, 1)), ((5, 3, 2, 1), (1, 1))],
)
def test_a_crop_lies_in_the_image_and_is_never_empty(corners: tuple[float, ...], shape: tuple[int, int]) -> None:
    assert content_crop(COLOURS, corners).shape[:2] == shape


def test_a_crop_becomes_an_input_from_0_to_1_by_areas() -> None:
    crop = np.zeros((4, 4, 3), dtype=np.uint8)
    crop[:2] = 255
    values = crop_input(crop, 2)
    assert values.shape == (1, 3, 2, 2)
    assert values.dtype == np.float32
    assert values[0, 1].tolist() == [[1, 1], [0, 0]]
