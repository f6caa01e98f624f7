"""Whole numbers resized to whole numbers, bit for bit as the libraries do that published systems were made with.

OpenCV and torch resize bytes by tables of rounded weights, and round between the axes; where boxes follow masks from
slice to slice, one such rounding moves a box by a cell. Facts are those of OpenCV 5.0.0 and torch 2.13.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPENCV_BITS = 11
"""Of a weight, in OpenCV's tables for bytes."""
TOUCHED = 1e-3
"""Share of a sample up to which OpenCV does not count it as covered."""
TORCH_BITS, TORCH_LARGEST = 22, 1 << 15
"""Most bits of a weight in torch's tables for bytes, and what a weight stays below."""


@dataclass(frozen=True, eq=False)
class Taps:
    """Two samples of each cell of an axis, and the share of the second."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    share: NDArray[np.float32]


def opencv_area(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """As ``cv2.resize`` with ``INTER_AREA``: means of what a cell covers where the result is smaller.

    Halves are rounded up where both axes are halved, for which OpenCV has code of its own, and else to even. Where the
    result is larger it is interpolated by what a cell covers of its two samples; bytes then lose fractions in either
    direction, and numbers of 16 bits none.

    Args:
        array: uint8 or uint16 (y, x) or (y, x, channels).
        shape: (y, x) of the result.
    """
    size = array.shape[:2]
    if size == shape:
        return array
    if all(cells <= samples for cells, samples in zip(shape, size, strict=True)):
        if all(samples % cells == 0 for cells, samples in zip(shape, size, strict=True)):
            return _block_means(array, shape)
        means = array.astype(np.float32)
        for axis in (1, 0):
            means = _means(means, axis, shape[axis])
        return np.rint(means).astype(array.dtype)
    rows, columns = (_covering_taps(cells, samples) for cells, samples in zip(shape, size, strict=True))
    return _opencv_interpolated(array, rows, columns)


def opencv_linear(array: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """As ``cv2.resize`` with ``INTER_LINEAR``, for bytes; see ``opencv_area`` for the arguments.

    Where both axes are halved OpenCV takes means instead, which are the same numbers.
    """
    size = array.shape[:2]
    if size == shape or all(2 * cells == samples for cells, samples in zip(shape, size, strict=True)):
        return np.asarray(opencv_area(array, shape))
    rows, columns = (_centre_taps(cells, samples) for cells, samples in zip(shape, size, strict=True))
    return np.asarray(_opencv_interpolated(array, rows, columns))


def _block_means(array: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return means of whole blocks, for which OpenCV has code of its own: sums, times the rounded inverse of their
    size.
    """
    rows, columns = (samples // cells for cells, samples in zip(shape, array.shape[:2], strict=True))
    blocks = array.reshape(shape[0], rows, shape[1], columns, *array.shape[2:])
    sums = blocks.sum(axis=(1, 3), dtype=np.int64)
    if rows == columns == 2:
        return np.asarray((sums + 2) >> 2, dtype=array.dtype)
    return np.asarray(np.rint(sums.astype(np.float32) * np.float32(1 / (rows * columns))), dtype=array.dtype)


def _means(array: NDArray[np.float32], axis: int, cells: int) -> NDArray[np.float32]:
    """Return means of what a cell covers of an axis, added up in OpenCV's order."""
    index, weights = _covered(cells, array.shape[axis])
    total: NDArray[np.float32] = np.take(array, index[0], axis) * _along(weights[0], axis, array.ndim)
    for samples, weight in zip(index[1:], weights[1:], strict=True):
        total += np.take(array, samples, axis) * _along(weight, axis, array.ndim)
    return total


@functools.lru_cache(maxsize=8)
def _covered(cells: int, samples: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return samples that each cell covers, (most, cells), and float32 weights of the same shape, 0 where there are
    fewer.
    """
    scale = _opencv_scale(cells, samples)
    low = np.arange(cells) * scale
    width = np.minimum(scale, samples - low)
    last = np.minimum(np.floor(low + scale).astype(np.intp), samples - 1)
    first = np.minimum(np.ceil(low).astype(np.intp), last)
    begin = np.where(first - low > TOUCHED, first - 1, first)
    index = begin + np.arange(int((last - begin).max()) + 1)[:, None]
    share = np.clip(np.minimum(low + scale - index, 1.0), 0.0, width)
    share = np.where(index < first, first - low, share) / width
    share[(index > last) | (share <= np.where(index >= first, TOUCHED / width, 0.0))] = 0.0
    return np.minimum(index, samples - 1), share.astype(np.float32)


def torch_linear(array: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """As ``torch.nn.functional.interpolate`` in the mode "bilinear" for bytes, without antialiasing.

    Rows are resized first and rounded to bytes, then columns; halves are rounded up. For the arguments see
    ``opencv_area``.
    """
    for axis in (1, 0):
        if array.shape[axis] != shape[axis]:
            array = _torch_axis(array, axis, shape[axis])
    return array


def _torch_axis(array: NDArray[np.uint8], axis: int, cells: int) -> NDArray[np.uint8]:
    taps = _torch_taps(cells, array.shape[axis])
    share = taps.share.astype(np.float64)
    weights: NDArray[np.float64] = np.stack((1 - share, share))
    largest = float(weights.max())
    bits = 0
    while bits < TORCH_BITS and int(0.5 + largest * (1 << (bits + 1))) < TORCH_LARGEST:
        bits += 1
    table = np.floor(weights * float(1 << bits) + np.float64(0.5)).astype(np.int32)
    first, second = (_along(t, axis, array.ndim) for t in (table[0], table[1]))
    total = np.asarray(np.take(array, taps.first, axis) * first, dtype=np.int32)
    total += np.take(array, taps.second, axis) * second
    total += 1 << (bits - 1)
    return np.asarray(np.clip(total >> bits, 0, 255), dtype=np.uint8)


def _opencv_interpolated(array: NDArray[Any], rows: Taps, columns: Taps) -> NDArray[Any]:
    columns = _single_at_ends(columns)
    if array.dtype != np.uint8:
        mixed = _mixed(_mixed(array.astype(np.float32), columns, 1), rows, 0)
        return np.rint(mixed).astype(array.dtype)
    first, second = (_along(t, 1, array.ndim) for t in _opencv_table(columns))
    across = np.asarray(np.take(array, columns.first, 1) * first, dtype=np.int32)
    across += np.take(array, columns.second, 1) * second
    across >>= 4
    first, second = (_along(t, 0, array.ndim) for t in _opencv_table(rows))
    upper, lower = np.take(across, rows.first, 0) * first, np.take(across, rows.second, 0) * second
    made: NDArray[np.uint8] = (((upper >> 16) + (lower >> 16) + 2) >> 2).astype(np.uint8)
    return made


def _single_at_ends(taps: Taps) -> Taps:
    """Count the outermost column once, as OpenCV does; it takes the outermost row twice, which rounds once more."""
    return Taps(taps.first, taps.second, np.where(taps.first == taps.second, np.float32(0), taps.share))


def _opencv_table(taps: Taps) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    scale = np.float32(1 << OPENCV_BITS)
    return np.rint((1 - taps.share) * scale).astype(np.int32), np.rint(taps.share * scale).astype(np.int32)


def _mixed(array: NDArray[np.float32], taps: Taps, axis: int) -> NDArray[np.float32]:
    share = _along(taps.share, axis, array.ndim)
    near, far = np.take(array, taps.first, axis), np.take(array, taps.second, axis)
    return np.asarray(near * (1 - share) + far * share, dtype=np.float32)


def _along(values: NDArray[Any], axis: int, dimensions: int) -> NDArray[Any]:
    shape = [1] * dimensions
    shape[axis] = len(values)
    return values.reshape(shape)


def _opencv_scale(cells: int, samples: int) -> float:
    """Return samples a cell, as OpenCV divides: the last bit decides which sample a cell begins in."""
    return 1.0 / (cells / samples)


@functools.lru_cache(maxsize=8)
def _covering_taps(cells: int, samples: int) -> Taps:
    """Return what a cell covers of two samples, where cells are smaller than samples."""
    index = np.arange(cells)
    first = np.floor(index * _opencv_scale(cells, samples)).astype(np.intp)
    beyond = ((index + 1) - (first + 1) * (cells / samples)).astype(np.float32)
    share = np.where(beyond <= 0, 0, beyond - np.floor(beyond)).astype(np.float32)
    return _ended(first, share, samples)


@functools.lru_cache(maxsize=8)
def _centre_taps(cells: int, samples: int) -> Taps:
    """Return the two samples whose centres are nearest to a cell's."""
    at = ((np.arange(cells) + 0.5) * _opencv_scale(cells, samples) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.intp)
    return _ended(first, (at - first).astype(np.float32), samples)


@functools.lru_cache(maxsize=8)
def _torch_taps(cells: int, samples: int) -> Taps:
    scale = samples / cells
    at = np.maximum((np.arange(cells) + 0.5) * scale - 0.5, 0.0)
    first = np.minimum(np.floor(at).astype(np.intp), samples - 1)
    share = np.clip(at - first, 0.0, 1.0).astype(np.float32)
    return Taps(first, np.minimum(first + 1, samples - 1), share)


def _ended(first: NDArray[np.intp], share: NDArray[np.float32], samples: int) -> Taps:
    """Return taps within the samples: beyond the ends both are the outermost."""
    first, second = (np.clip(index, 0, samples - 1) for index in (first, first + 1))
    return Taps(first, second, share)
