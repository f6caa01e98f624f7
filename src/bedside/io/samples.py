"""What formats share in handling samples: rescaling, label values, byte order, choosing one of several volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import ChoiceError, FormatError

_TOLD = 8
"""Choices that a message lists."""
_NO_LABELS = "give a mask and not an image, or threshold it first"
_INTEGERS = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in this machine's byte order, itself where it is already."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def rescale(
    array: NDArray[Any],
    slope: float,
    intercept: float,
    *,
    reuse: bool = False,
    limits: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Return ``array * slope + intercept``.

    Integers stay integers where the slope is 1 and the intercept whole, in the same dtype or the smallest that
    holds the values; everything else becomes float32, or float64 where float32 would lose digits.

    Args:
        array: Any real samples.
        slope: Factor.
        intercept: What is added.
        reuse: The array is the caller's own and may be changed in place, which saves a copy.
        limits: Lowest and highest sample, where they are known.
    """
    if slope == 1 and intercept == 0:
        return array
    if array.dtype.kind in "ui" and slope == 1 and float(intercept).is_integer():
        shift = int(intercept)
        low, high = limits or (int(array.min()), int(array.max()))
        if reuse and array.dtype.itemsize >= 2:
            target = _same_size(low + shift, high + shift, array.dtype)
            if target is not None:
                # Modulo the range of the type, in which signed and unsigned numbers are the same bits.
                bits = array.view(f"u{array.dtype.itemsize}")
                bits += bits.dtype.type(shift % 2 ** (8 * array.dtype.itemsize))
                return array.view(target)
        dtype = _integer_for(min(low, low + shift), max(high, high + shift, abs(shift)), array.dtype)
        shifted = array.astype(dtype)
        # Two steps, because an unsigned array takes no negative number.
        if shift > 0:
            shifted += dtype.type(shift)
        else:
            shifted -= dtype.type(-shift)
        return shifted
    scaled: NDArray[np.floating[Any]] = array.astype(
        np.float32 if array.dtype.itemsize <= 2 or array.dtype == np.float32 else np.float64
    )
    scaled *= slope
    scaled += intercept
    return scaled


def _same_size(low: int, high: int, dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return the dtype itself, or the other one of its size, that holds values from ``low`` to ``high``."""
    for kind in (dtype.kind, "i" if dtype.kind == "u" else "u"):
        limits = np.iinfo(f"{kind}{dtype.itemsize}")
        if limits.min <= low and high <= limits.max:
            return np.dtype(limits.dtype)
    return None


def _integer_for(low: int, high: int, preferred: np.dtype[Any]) -> np.dtype[Any]:
    for dtype in (preferred, *map(np.dtype, _INTEGERS)):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return np.dtype(dtype)
    return np.dtype(np.int64)


def as_labels(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Return label values as uint8 or uint16.

    Args:
        array: Integers, booleans, or whole numbers stored as floats; not copied where it is uint8 or uint16.
        what: The file or argument, for the message.

    Raises:
        FormatError: Values that are negative, not whole, or above 65,535.
    """
    if array.dtype in (np.uint8, np.uint16):
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind not in "uif":
        raise FormatError(f"{what}: labels", expected="whole numbers", got=f"dtype {array.dtype}")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise FormatError(f"{what}: labels", expected="whole numbers", got="fractions", fix=_NO_LABELS)
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if low < 0 or high > np.iinfo(np.uint16).max:
        raise FormatError(
            f"{what}: labels", expected="values from 0 to 65535", got=f"{low:g} to {high:g}", fix=_NO_LABELS
        )
    return array.astype(np.uint8 if high <= np.iinfo(np.uint8).max else np.uint16)


def single_channel(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Return the one channel of labels that were stored as colour (y, x, 3) with equal channels.

    Raises:
        FormatError: The channels differ.
    """
    if array.ndim == 3 and not (
        np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])
    ):
        raise FormatError(
            f"{what}: labels",
            expected="one channel of label values",
            got="colours",
            fix="save the label of each pixel, as grey or indexed",
        )
    return np.ascontiguousarray(array[..., 0]) if array.ndim == 3 else array


def pick_volume(path: Path, count: int, volume: int | None, what: str = "volumes", choices: Sequence[str] = ()) -> int:
    """Return the index of the volume to read among ``count``.

    Args:
        path: For messages.
        count: How many there are.
        volume: The choice, from 0; None where none was made.
        what: What they are.
        choices: What there is to choose from, each with its number, where that is known.

    Raises:
        ChoiceError: There are several and none was chosen, or the choice is out of range.
    """
    if volume is None and count == 1:
        return 0
    if volume is None:
        told = "; ".join(choices[:_TOLD]) + (f"; and {len(choices) - _TOLD} more" if len(choices) > _TOLD else "")
        holds = f"{path} holds {count} {what}" + (f" ({told})" if told else "")
        raise ChoiceError(
            holds, option="volume", choices=f"0 to {count - 1}", expected="one", count=count, names=choices
        )
    if not 0 <= volume < count:
        choice = f"0 to {count - 1}" if count > 1 else "0, the only one"
        raise ChoiceError(f"{path}: --volume", option="volume", choices="", expected=choice, got=volume)
    return volume


def storable(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in a dtype that every volume format has: bool as uint8 and float16 as float32."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    return array.astype(np.float32) if array.dtype == np.float16 else array
