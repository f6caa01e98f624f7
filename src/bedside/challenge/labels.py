"""Label maps as the challenges clean them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import InputError

Labels = NDArray[np.uint16]
_IN_SLICE = np.zeros((3, 3, 3), dtype=bool)
_IN_SLICE[1] = True
_EVERYWHERE = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Cleaning:
    """Which small parts of labels are removed.

    Attributes:
        volume: Parts of fewer voxels go (26 neighbours).
        plane: Then parts of fewer pixels within a slice go (8 neighbours).
    """

    volume: int
    plane: int


CLEANINGS = {"2024": Cleaning(1000, 100), "2025": Cleaning(100, 10), "none": Cleaning(0, 0)}
"""Both published thresholds: those of the 2024 challenge, and those its repository was changed to in April 2025."""


def clean_labels(labels: Labels, cleaning: Cleaning) -> Labels:
    """Return a copy without the small parts of each label; images of two axes are left as they are, as officially.

    Args:
        labels: (z, y, x) or (y, x).
        cleaning: Thresholds.
    """
    result = labels.copy()
    if labels.ndim == 3:
        for structure, smallest in ((_EVERYWHERE, cleaning.volume), (_IN_SLICE, cleaning.plane)):
            _remove_dust(result, structure, smallest)
    return result


def _remove_dust(labels: Labels, structure: NDArray[np.bool_], smallest: int) -> None:
    if smallest < 2:
        return
    places: Sequence[tuple[slice, ...] | None] = ndimage.find_objects(labels)
    for value, place in enumerate(places, start=1):
        if place is None:
            continue
        parts, _ = ndimage.label(labels[place] == value, structure=structure)
        sizes = np.bincount(parts.ravel())
        dust = sizes < smallest
        dust[0] = False
        labels[place][dust[parts]] = 0


def drop_labels(labels: Labels, dropped: Iterable[int]) -> Labels:
    """Return a copy in which the values ``dropped`` are background."""
    result = labels.copy()
    result[np.isin(labels, list(dropped))] = 0
    return result


def split_instances(labels: Labels, value: int) -> Labels:
    """Return a copy in which each connected part (26 neighbours) of ``value`` is a label of its own, after all others.

    Raises:
        InputError: There would be more than 65,535 labels.
    """
    result = labels.copy()
    parts, count = ndimage.label(labels == value, structure=np.ones((3,) * labels.ndim))
    highest = int(labels.max(initial=0))
    if highest + count > np.iinfo(np.uint16).max:
        raise InputError("instances", expected="at most 65,535 labels", got=highest + count)
    # The first part keeps the value, so that no number is left out.
    later = parts > 1
    result[later] = (highest + parts[later] - 1).astype(np.uint16)
    return result


def relabel(labels: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return labels 1, 2, ... in ascending order of the values before, and those values.

    Returns:
        uint8 (uint16 beyond 255 labels), and the value that each new label had.
    """
    values = [int(v) for v in np.unique(labels) if v != 0]
    table = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.uint8 if len(values) <= 255 else np.uint16)
    table[values] = np.arange(1, len(values) + 1)
    return table[labels], tuple(values)


def labelled_slices(labels: NDArray[Any]) -> NDArray[np.intp]:
    """Return the slices z that hold any label."""
    return np.flatnonzero(labels.any(axis=(1, 2)))
