"""Samples that stand for no measurement: declared padding, the sentinels that scanners write, constant frames.

They are recognised by their values, so that a part of an image can be looked at without the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ranges = Sequence[tuple[float, float]]
"""Ranges of samples, both ends included."""

SENTINELS = (-32768.0, -3024.0, -2000.0)
"""What scanners and converters write outside the field of view: the lowest 16 bit number, GE's -2000 with and without
the intercept of -1024."""

SAMPLES = 2**18
"""Samples of a large image that are looked at."""

_AIR = -1024.5
"""Nothing absorbs less than this, in Hounsfield units."""
_CT_AIR = (-1200.0, -800.0)
_KINDS = 16
"""Distinct samples that a picture has at least; a drawing of few values has no frame, but a background."""
_CORNERS = 0.75
"""Share of the corners of the slices that hold the same sample where there is a frame."""


def absent(array: NDArray[Any], ranges: Ranges) -> NDArray[np.bool_] | None:
    """Where samples are no measurement: not finite, or within one of ``ranges``; None where none is.

    Args:
        array: Any real samples.
        ranges: Of the image that they belong to.
    """
    found: NDArray[np.bool_] | None = None
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        found = None if finite.all() else ~finite
    for low, high in ranges:
        here = (array == low) if low == high else (array >= low) & (array <= high)
        if here.any():
            found = here if found is None else found | here
    return found


def find_ranges(array: NDArray[Any], spatial: int, modality: str | None, declared: Ranges = ()) -> Ranges:
    """The declared ranges and what else is seen to be no measurement.

    A sample counts where it is one of the scanners' sentinels or fills the corners of the slices, and lies so far from
    all others that with it every percentile would say more of the frame than of the picture: farther than half of
    their range, or below what a CT can measure.

    Args:
        array: Samples, spatial axes first.
        spatial: Number of spatial axes, 2 or 3.
        modality: "CT" and so on; None where unknown.
        declared: What the file declares.
    """
    ranges = list(dict.fromkeys(declared))
    if array.ndim > spatial or array.dtype.kind not in "uif" or array.size == 0:
        return tuple(ranges)
    some = array.reshape(-1)[:: max(1, array.size // SAMPLES) | 1] if array.flags.c_contiguous else None
    some = _thinned(array) if some is None else some
    known = absent(some, ranges)
    some = some[~known] if known is not None else some
    for value in _candidates(array, some):
        if any(low <= value <= high for low, high in ranges):
            continue
        others = some[some != value]
        if _stands_apart(value, others, modality):
            ranges.append((value, value))
            some = others
    return tuple(ranges)


def _thinned(array: NDArray[Any]) -> NDArray[Any]:
    step = max(1, round((array.size / SAMPLES) ** (1 / array.ndim)))
    return np.asarray(array[(slice(None, None, step),) * array.ndim]).reshape(-1)


def _candidates(array: NDArray[Any], some: NDArray[Any]) -> list[float]:
    """Samples that may be no measurement: the lowest if it is a sentinel, and what most corners hold."""
    if some.size == 0:
        return []
    lowest = float(some.min())
    found = [lowest] if lowest in SENTINELS else []
    slices = array if array.ndim == 3 else array[None]
    corners = np.asarray(
        slices[:: max(1, len(slices) // 32), :: max(1, slices.shape[1] - 1), :: max(1, slices.shape[2] - 1)]
    )
    corners = corners[np.isfinite(corners)] if corners.dtype.kind == "f" else corners.reshape(-1)
    values, counts = np.unique(corners, return_counts=True)
    if len(values) and counts.max() >= max(4, _CORNERS * counts.sum()):
        found.append(float(values[counts.argmax()]))
    return list(dict.fromkeys(found))


def _stands_apart(value: float, others: NDArray[Any], modality: str | None) -> bool:
    if others.size == 0 or len(np.unique(others[:4096])) < _KINDS:
        return False
    low, high = (float(v) for v in np.percentile(others, (0.5, 99.5)))
    is_ct = modality == "CT" or (modality is None and _CT_AIR[0] <= low <= _CT_AIR[1])
    if is_ct and value < _AIR:
        return True
    gap = float(np.abs(others.astype(np.float64) - value).min())
    return gap > 0.5 * (high - low)
