"""From binary objects to one label map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError

OverlapPolicy = Literal["keep", "overwrite", "overlap"]
"""What happens where two objects claim a voxel: the earlier keeps it, the later takes it, or both have it."""


def merge_masks(masks: Sequence[NDArray[Any]], policy: OverlapPolicy = "keep") -> NDArray[Any]:
    """The label map of binary ``masks``: voxels of the i-th get the value i + 1.

    Args:
        masks: Binary masks of equal shape, at least one.
        policy: "keep" leaves a voxel to the first object that has it, "overwrite" gives it to the last, and
            "overlap" returns the stack of masks, because a single map could not hold both.

    Returns:
        uint8 (uint16 beyond 255 objects) of the masks' shape, or uint8 (object, ...) for "overlap".

    Raises:
        InputError: No mask, masks of different shapes, an unknown policy, or more than 65,535 objects.
    """
    if not masks:
        raise InputError("label map", expected="at least one object", got="none")
    if any(m.shape != masks[0].shape for m in masks):
        raise InputError("label map", expected="masks of equal shape", got={m.shape for m in masks})
    if policy not in get_args(OverlapPolicy):
        raise InputError("overlap policy", expected=f"one of {', '.join(get_args(OverlapPolicy))}", got=repr(policy))
    if len(masks) > np.iinfo(np.uint16).max:
        raise InputError("label map", expected="at most 65,535 objects", got=len(masks))
    if policy == "overlap":
        return np.stack([(m != 0).astype(np.uint8) for m in masks])
    labels = np.zeros(masks[0].shape, dtype=np.uint8 if len(masks) <= 255 else np.uint16)
    for value, mask in enumerate(masks, start=1):
        free = mask != 0
        if policy == "keep":
            free &= labels == 0
        labels[free] = value
    return labels
