"""From binary objects to one label map."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError

LARGEST_LABEL = 65_535
"""Label values are uint16 at most."""

OverlapPolicy = Literal["keep", "overwrite", "overlap"]
"""What happens where two objects claim a voxel: the earlier keeps it, the later takes it, or both have it."""


def merge_masks(
    masks: Sequence[NDArray[Any]], policy: OverlapPolicy = "keep", values: Sequence[int] | None = None
) -> NDArray[Any]:
    """Return the label map of binary ``masks``: voxels of the i-th get the i-th of ``values``.

    Args:
        masks: Binary masks of equal shape, at least one, the earlier object first.
        policy: "keep" leaves a voxel to the first object that has it, "overwrite" gives it to the last, and
            "overlap" returns the stack of masks, because a single map could not hold both.
        values: Label of each mask, 1 to 65,535, each used once; by default 1, 2, ...

    Returns:
        uint8 (uint16 where a label is above 255) of the masks' shape, or uint8 (object, ...) for "overlap".

    Raises:
        InputError: No mask, masks of different shapes, an unknown policy, or labels that cannot be used.
    """
    if not masks:
        raise InputError("label map", expected="at least one object", got="none")
    if any(m.shape != masks[0].shape for m in masks):
        raise InputError("label map", expected="masks of equal shape", got={m.shape for m in masks})
    if policy not in get_args(OverlapPolicy):
        raise InputError("overlap policy", expected=f"one of {', '.join(get_args(OverlapPolicy))}", got=repr(policy))
    if len(masks) > LARGEST_LABEL:
        raise InputError("label map", expected="at most 65,535 objects", got=len(masks))
    labels_of = list(range(1, len(masks) + 1)) if values is None else [int(v) for v in values]
    if len(labels_of) != len(masks) or len(set(labels_of)) < len(masks):
        raise InputError("labels of the objects", expected="one for each, each used once", got=labels_of[:20])
    for value in labels_of:
        check_label(value)
    if policy == "overlap":
        return np.stack([(m != 0).astype(np.uint8) for m in masks])
    labels = np.zeros(masks[0].shape, dtype=np.uint8 if max(labels_of) <= 255 else np.uint16)
    for value, mask in zip(labels_of, masks, strict=True):
        free = mask != 0
        if policy == "keep":
            free &= labels == 0
        labels[free] = value
    return labels


def check_label(value: int) -> int:
    """Return the label itself, if it can be the value of an object in a label map.

    Raises:
        InputError: It is below 1 or above 65,535.
    """
    if not isinstance(value, int | np.integer) or not 1 <= value <= LARGEST_LABEL:
        raise InputError("label", expected=f"a whole number from 1 to {LARGEST_LABEL:,}", got=repr(value)[:80])
    return value


def free_label(used: Set[int | None], last: int, label: int | None = None) -> int:
    """Return the label asked for, if no other object has it; by default one more than any that was used so far.

    Args:
        used: Labels of the objects there are.
        last: Highest label that was ever used, also by an object that was deleted.
        label: The one asked for, 1 to 65,535.

    Raises:
        InputError: The label is taken or out of range.
    """
    if label is not None:
        if check_label(label) in used:
            raise InputError("label", expected="one that no other object has", got=label)
        return label
    following = max([last, *(n or 0 for n in used)]) + 1
    # Where the range was used up, the first gap.
    free: int = next(n for n in (following, *range(1, 65_536)) if n not in used and n < 65_536)
    return free
