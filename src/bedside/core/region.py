"""Integer boxes of voxels, in array order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Region:
    """A half-open box of voxels, ``start <= index < stop``, in array order (z, y, x) or (y, x)."""

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Region:
        """Return the region that covers an array of ``shape``."""
        return cls((0,) * len(shape), tuple(int(n) for n in shape))

    @classmethod
    def empty(cls, dimensions: int) -> Region:
        """Return a region of ``dimensions`` axes that holds no voxel."""
        return cls((0,) * dimensions, (0,) * dimensions)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis, 0 where the region is empty."""
        return tuple(max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index expression for an array on the same grid."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def is_empty(self) -> bool:
        """Whether the region holds no voxel."""
        return any(n == 0 for n in self.shape)

    def clip(self, shape: Sequence[int]) -> Region:
        """Return the part inside an array of ``shape``."""
        start = tuple(min(max(0, a), int(n)) for a, n in zip(self.start, shape, strict=True))
        stop = tuple(min(max(0, b), int(n)) for b, n in zip(self.stop, shape, strict=True))
        return Region(start, stop)

    def union(self, other: Region) -> Region:
        """Return the smallest region that holds both; an empty one adds nothing."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        return Region(
            tuple(min(a, b) for a, b in zip(self.start, other.start, strict=True)),
            tuple(max(a, b) for a, b in zip(self.stop, other.stop, strict=True)),
        )

    def intersection(self, other: Region) -> Region:
        """Return the voxels that both hold; empty where there are none."""
        return Region(
            tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True)),
            tuple(min(a, b) for a, b in zip(self.stop, other.stop, strict=True)),
        )

    def shift(self, offset: Sequence[int]) -> Region:
        """Return the region moved by ``offset`` voxels."""
        return Region(
            tuple(a + int(o) for a, o in zip(self.start, offset, strict=True)),
            tuple(b + int(o) for b, o in zip(self.stop, offset, strict=True)),
        )

    def contains(self, index: Sequence[int]) -> bool:
        """Return whether the voxel ``index`` (array order) lies inside."""
        return all(a <= i < b for a, i, b in zip(self.start, index, self.stop, strict=True))


def mask_region(mask: NDArray[Any]) -> Region:
    """Return the smallest region that holds every non-zero voxel of ``mask``; empty where there is none."""
    start, stop = [], []
    part = mask
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        hit = np.flatnonzero(part.any(axis=others))
        if hit.size == 0:
            return Region.empty(mask.ndim)
        start.append(int(hit[0]))
        stop.append(int(hit[-1]) + 1)
        # Only the first axis is searched in all of the mask, which of a volume is the whole cost.
        part = part[(slice(None),) * axis + (slice(start[-1], stop[-1]),)]
    return Region(tuple(start), tuple(stop))


def changed_region(before: NDArray[Any], after: NDArray[Any]) -> Region:
    """Return the smallest region outside which two arrays of the same shape are equal."""
    return mask_region(before != after)
