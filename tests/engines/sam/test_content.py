from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.engines.sam.content import content_crop, crop_input

COLOURS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def test_the_last_pixels_are_left_out() -> None:
    assert np.array_equal(content_crop(COLOURS, (1, 2, 3, 4)), COLOURS[2:4, 1:3])
    assert np.array_equal(content_crop(COLOURS, (0, 0, 7, 5)), COLOURS)


@pytest.mark.parametrize(
    ("corners", "shape"),
    [((2.9, 1.2, 2.9, 1.9), (1, 1)), ((-4, -4, 90, 90), (5, 7)), ((90, 90, 99, 99), (1, 1)), ((5, 3, 2, 1), (1, 1))],
)
def test_a_crop_lies_in_the_image_and_is_never_empty(corners: tuple[float, ...], shape: tuple[int, int]) -> None:
    assert content_crop(COLOURS, corners).shape[:2] == shape


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 80))
def test_a_crop_becomes_an_input_as_torch_resizes_with_antialiasing(height: int, width: int, side: int) -> None:
    torch = pytest.importorskip("torch")
    crop = np.random.default_rng(height * 97 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    values = crop_input(crop, side)
    given_crop = torch.from_numpy(crop.transpose(2, 0, 1)[None] / np.float32(255))
    expected = torch.nn.functional.interpolate(given_crop, (side, side), mode="bilinear", antialias=True)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected.numpy(), atol=1e-5)
