"""The kernels that systems resize slices by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.imaging.resize import resize, resize_matrix

KERNELS = ("area", "linear", "triangle", "cubic")


@given(st.sampled_from(KERNELS), st.integers(1, 90), st.integers(1, 90))
def test_a_constant_stays_what_it_is(kernel: str, cells: int, size: int) -> None:
    matrix = resize_matrix(kernel, cells, size)  # type: ignore[arg-type]
    assert matrix.shape == (cells, size)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)
    if kernel != "cubic":
        assert matrix.min() >= 0


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_same_size_changes_nothing(kernel: str) -> None:
    array = np.random.default_rng(0).integers(0, 255, (17, 23, 3), dtype=np.uint8)
    np.testing.assert_allclose(resize(array, (17, 23), kernel), array, atol=1e-4)  # type: ignore[arg-type]


def test_areas_are_means() -> None:
    array = np.arange(48, dtype=np.uint8).reshape(6, 8)
    blocks = array.reshape(2, 3, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(array, (2, 4), "area"), blocks, rtol=1e-6)
    # Enlarging, a cell that covers two samples is their mean by what it covers of each.
    assert resize_matrix("area", 3, 2).round(3).tolist() == [[1, 0], [0.5, 0.5], [0, 1]]


def test_linear_reads_two_neighbours_only() -> None:
    matrix = resize_matrix("linear", 4, 16)
    assert (np.count_nonzero(matrix, axis=1) <= 2).all()
    assert matrix[0, [1, 2]].tolist() == [0.5, 0.5]
    enlarged = resize(np.array([[0.0, 4.0]], np.float32), (1, 4), "linear")
    assert enlarged.tolist() == [[0, 1, 3, 4]]


@given(st.sampled_from(KERNELS), st.integers(8, 60), st.integers(8, 60))
def test_a_slope_stays_a_slope_within(kernel: str, cells: int, size: int) -> None:
    slope = (np.arange(size, dtype=np.float32) + 0.5) / size
    found = resize_matrix(kernel, cells, size) @ slope  # type: ignore[arg-type]
    expected = (np.arange(cells) + 0.5) / cells
    # Cells near the ends, and areas smaller than a sample, do not see a slope.
    inner = slice(cells // 3, cells - cells // 3)
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.51 / size + 1e-4)


def test_matrices_cannot_be_spoilt() -> None:
    with pytest.raises(ValueError, match="read-only"):
        resize_matrix("area", 4, 8)[0, 0] = 5
