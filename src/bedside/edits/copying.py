"""Going on with a mask by copies of its last slice."""

from __future__ import annotations

import numpy as np

from bedside.edits import EDITS, Edit, Mask, Value

MOST = 500


def copy_slice(mask: Mask, spacing: tuple[float, ...], count: float) -> Mask:
    """Return the mask with its last drawn slice copied to the ``count`` slices after it.

    With a negative number the first slice is copied to those before it. Slices lie across the largest spacing; of equal
    ones across the first axis.
    """
    if not mask.any():
        return mask
    axis = int(np.argmax(spacing))
    planes = np.moveaxis(mask, axis, 0).copy()
    drawn = np.flatnonzero(planes.any(axis=(1, 2)))
    if count > 0:
        planes[drawn[-1] + 1 : drawn[-1] + 1 + int(count)] = planes[drawn[-1]]
    else:
        planes[max(0, drawn[0] + int(count)) : drawn[0]] = planes[drawn[0]]
    return np.moveaxis(planes, 0, axis)


EDITS.register("copy-slice")(
    Edit(
        "Copy to next slices",
        "Copy the last drawn slice to so many slices after it, or the first to those before it (negative).",
        copy_slice,
        Value("slices", 1, -MOST, MOST, whole=True),
        grows_slices=lambda count: abs(int(count)),
        sliced=True,
    )
)
