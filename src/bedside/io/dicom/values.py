"""Plain numbers and text out of DICOM elements, whatever a careless file holds there."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@cache
def tag_of(keyword: str) -> int:
    """Return the tag of a keyword as a plain number; -1 where there is none."""
    from pydicom.datadict import tag_for_keyword

    return int(tag_for_keyword(keyword) or -1)


_last: tuple[Any, frozenset[int]] = (None, frozenset())


def tags_of(dataset: Any) -> frozenset[int]:
    """Return the tags of a dataset as plain numbers, which compare much faster than the library's; kept for the last
    one.
    """
    global _last  # noqa: PLW0603 - one pair, replaced as a whole
    known, tags = _last
    if known is not dataset:
        tags = frozenset(map(int, dataset.keys()))
        _last = (dataset, tags)
    return tags


_CONVERTED: dict[tuple[int, str, bytes], Any] = {}
_MOST_CONVERTED = 20_000
_SAME_EVERYWHERE = ("DS", "IS", "CS", "UI", "TM", "DA", "DT", "US", "FD", "FL", "SS", "UL", "SL")
"""Value representations whose meaning hangs on nothing but their bytes."""


def value_of(dataset: Any, keyword: str) -> Any:
    """Return the value of an element; None where it is missing.

    Most elements are the same in all slices of a series, and are converted from their bytes once; most look-ups are in
    vain. Both make it much faster than the library's own.
    """
    tag = tag_of(keyword)
    if tag not in tags_of(dataset):
        return None
    raw = dataset.get_item(tag)
    stored = getattr(raw, "value", None)
    if not isinstance(stored, bytes) or getattr(raw, "VR", None) not in _SAME_EVERYWHERE or len(stored) > 256:
        return dataset[tag].value
    key = (tag, raw.VR if raw.is_little_endian else raw.VR + ">", stored)
    if key not in _CONVERTED:
        if len(_CONVERTED) >= _MOST_CONVERTED:
            _CONVERTED.clear()
        _CONVERTED[key] = dataset[tag].value
    return _CONVERTED[key]


def vector(value: Any, length: int) -> NDArray[np.float64] | None:
    """Return so many finite numbers, or None."""
    if value is None or isinstance(value, str) or np.size(value) != length:
        return None
    try:
        numbers = np.array([float(v) for v in value]) if length > 1 else np.array([float(np.ravel(value)[0])])
    except (TypeError, ValueError):
        return None
    return numbers if np.all(np.isfinite(numbers)) else None


def first_number(value: Any) -> float | None:
    """Return a number, or the first of several; None where there is none."""
    if isinstance(value, str) or value is None:
        return None
    try:
        return float(np.ravel(np.asarray(value, dtype=np.float64))[0])
    except (TypeError, ValueError, IndexError):
        return None


def positive(value: Any) -> float | None:
    """Return the size of a number that is not zero; None where there is none."""
    number = first_number(value)
    return abs(number) if number and np.isfinite(number) else None


def text(value: Any) -> str:
    """Return an element as text, without spaces around it; "" where it is missing."""
    return "" if value is None else str(value).strip()


def last_digits(values: Any) -> NDArray[np.float64]:
    """Return what the last written digit of each decimal string is worth: 0.1 for "-98.8", 1 for "12"."""
    return np.array([_last_digit(value) for value in values])


def _last_digit(value: Any) -> float:
    written = getattr(value, "original_string", None) or repr(float(value))
    try:
        exponent = Decimal(str(written).strip()).as_tuple().exponent
    except InvalidOperation:
        return 0.0
    return 10.0**exponent if isinstance(exponent, int) else 0.0
