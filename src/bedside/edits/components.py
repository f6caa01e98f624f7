"""Keeping the largest parts of a mask, and removing the small ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.edits import EDITS, Edit, Mask, Value

LARGEST = 1e9


def _parts(mask: Mask) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return connected parts, voxels that share a corner being neighbours, and the sizes of the parts from 1 on."""
    labels, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return labels, np.bincount(labels.ravel(), minlength=count + 1)[1:]


def keep_largest(mask: Mask, spacing: tuple[float, ...], count: float) -> Mask:  # noqa: ARG001
    """Return the ``count`` largest connected parts; of equal ones those that come first in array order."""
    labels, sizes = _parts(mask)
    kept = np.argsort(-sizes, kind="stable")[: int(count)] + 1
    return np.isin(labels, kept)


def remove_specks(mask: Mask, spacing: tuple[float, ...], smallest: float) -> Mask:  # noqa: ARG001
    """Return the connected parts of at least ``smallest`` voxels."""
    labels, sizes = _parts(mask)
    return np.isin(labels, np.flatnonzero(sizes >= smallest) + 1)


EDITS.register("keep-largest")(
    Edit(
        "Keep largest parts",
        "Keep the largest connected parts and drop the others.",
        keep_largest,
        Value("parts", 1, 1, LARGEST, whole=True),
    )
)
EDITS.register("remove-specks")(
    Edit(
        "Remove specks",
        "Remove connected parts of fewer voxels.",
        remove_specks,
        Value("voxels", 10, 2, LARGEST, whole=True),
    )
)
