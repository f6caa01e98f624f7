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
_MOST = 0.5
"""Share of the slices on which a side holds the same sample where there is a frame."""


def absent(array: NDArray[Any], ranges: Ranges) -> NDArray[np.bool_] | None:
    """Return where samples are no measurement: not finite, or within one of ``ranges``; None where none is.

    Args:
        array: Any real samples.
        ranges: Ranges of the image that they belong to.
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


def is_blank(array: NDArray[Any]) -> bool:
    """Return whether no sample of an array is a finite number; looks no further than the first that is."""
    return array.dtype.kind == "f" and not any(np.isfinite(part).any() for part in array)


def find_ranges(array: NDArray[Any], spatial: int, modality: str | None, declared: Ranges = ()) -> Ranges:
    """The declared ranges and what else is seen to be no measurement.

    A sample counts where it is one of the scanners' sentinels or fills a side or its corners, and lies so far from
    all others that with it every percentile would say more of the frame than of the picture: farther than half of
    their range, or below what a CT can measure. Of bytes only what is declared counts: they were windowed for display.

    Args:
        array: Samples, spatial axes first.
        spatial: Number of spatial axes, 2 or 3.
        modality: "CT" and so on; None where unknown.
        declared: What the file declares.
    """
    ranges = list(dict.fromkeys(declared))
    if array.ndim > spatial or array.dtype.kind not in "uif" or array.size == 0 or array.itemsize == 1:
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
    """Return samples that may be no measurement: the lowest if it is a sentinel, and what fills a side of the image."""
    if some.size == 0:
        return []
    lowest = float(some.min())
    found = [lowest] if lowest in SENTINELS else []
    slices = array if array.ndim == 3 else array[None]
    looked_at = slices[:: max(1, len(slices) // 16)]
    sides = [looked_at[:, 0], looked_at[:, -1], looked_at[:, :, 0], looked_at[:, :, -1]]
    if len(slices) > 2:
        sides += [slices[:1, ::3, ::3].reshape(1, -1), slices[-1:, ::3, ::3].reshape(1, -1)]
    for side in sides:
        # A round field of view touches the middle of a side: its corners are enough.
        ends = side if side.shape[1] < 8 else side[:, [0, 1, -2, -1]]
        for lines in (side, ends) if side.shape[0] > 1 or array.ndim == 2 else (side,):
            constant = lines[(lines == lines[:, :1]).all(axis=1)]
            values, counts = np.unique(constant[:, 0], return_counts=True)
            if len(values) and counts.max() >= _MOST * len(lines):
                found.append(float(values[counts.argmax()]))
    return [value for value in dict.fromkeys(found) if np.isfinite(value)]


def _stands_apart(value: float, others: NDArray[Any], modality: str | None) -> bool:
    if others.size == 0 or len(np.unique(others[:4096])) < _KINDS:
        return False
    low, high = (float(v) for v in np.percentile(others, (0.5, 99.5)))
    is_ct = modality == "CT" or (modality is None and _CT_AIR[0] <= low <= _CT_AIR[1])
    if is_ct and value < _AIR:
        return True
    gap = float(np.abs(others.astype(np.float64) - value).min())
    return gap > 0.5 * (high - low)
