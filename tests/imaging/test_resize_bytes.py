"""Bytes resized as by the libraries that published systems use, held against these libraries, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.imaging.resize import cubic_matrix
from bedside.imaging.resize_bytes import opencv_area, opencv_linear, torch_linear

SIDE = st.integers(1, 300)


def picture(shape: tuple[int, int], seed: int, kind: str) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    if kind == "mask":
        return (generator.random(shape) < 0.5).astype(np.uint8) * generator.integers(1, 6, dtype=np.uint8)
    return generator.integers(0, 256, (*shape, 3), dtype=np.uint8)


def target(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """As the systems choose it: the longest side to ``side``."""
    scale = side / max(shape)
    return max(1, int(shape[0] * scale + 0.5)), max(1, int(shape[1] * scale + 0.5))


@given(SIDE, SIDE, st.sampled_from([16, 64, 256]), st.integers(0, 999), st.sampled_from(["mask", "picture"]))
def test_opencv(height: int, width: int, side: int, seed: int, kind: str) -> None:
    cv2 = pytest.importorskip("cv2")
    array, shape = picture((height, width), seed, kind), target((height, width), side)
    for given_array, flag, ours in (
        (array, cv2.INTER_AREA, opencv_area),
        (array.astype(np.uint16), cv2.INTER_AREA, opencv_area),
        (array, cv2.INTER_LINEAR, opencv_linear),
    ):
        expected = cv2.resize(given_array, shape[::-1], interpolation=flag)
        found = ours(given_array, shape)  # type: ignore[operator]
        assert found.dtype == given_array.dtype
        assert np.array_equal(found, expected.reshape(found.shape))


@pytest.mark.parametrize(("size", "rounded_up"), [(512, True), (1024, False)])
def test_halves_go_up_at_half_the_size_and_to_even_at_a_quarter(size: int, rounded_up: bool) -> None:
    step = size // 256
    block = np.zeros((step, step), np.uint8)
    block.flat[: step * step // 2] = 1
    for base in (0, 1, 2, 7):
        found = opencv_area(np.tile(block + np.uint8(base), (256, 256)), (256, 256))
        assert (found == (base + 1 if rounded_up else base + base % 2)).all()


@given(SIDE, SIDE, st.sampled_from([16, 64, 256, 512]), st.integers(0, 999))
def test_torch(height: int, width: int, side: int, seed: int) -> None:
    torch = pytest.importorskip("torch")
    array, shape = picture((height, width), seed, "picture"), target((height, width), side)
    planes = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[None]
    expected = torch.nn.functional.interpolate(planes, shape, mode="bilinear", align_corners=False)[0].numpy()
    assert np.array_equal(torch_linear(array, shape), expected.transpose(1, 2, 0))


@given(st.integers(2, 200), st.integers(2, 200), st.sampled_from([16, 64, 256]), st.integers(0, 999))
def test_scikit_image_of_order_three(height: int, width: int, side: int, seed: int) -> None:
    transform: Any = pytest.importorskip("skimage.transform")
    array = picture((height, width), seed, "picture")[..., 0].astype(np.float64)
    expected = transform.resize(array, (side, side), order=3, preserve_range=True, anti_aliasing=True, clip=False)
    found = cubic_matrix(side, height) @ array @ cubic_matrix(side, width).T
    np.testing.assert_allclose(found, expected, atol=1e-8)
