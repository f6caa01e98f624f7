"""Binary masks kept small: the packed bits of the region that they fill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.region import Region, changed_region, mask_region


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A binary mask as the packed bits of the smallest region that holds it.

    Attributes:
        region: Where the bits lie; empty for an empty mask.
        bits: uint8, eight voxels a byte, in C order of ``region``.
    """

    region: Region
    bits: NDArray[np.uint8]

    def __post_init__(self) -> None:
        self.bits.flags.writeable = False

    @classmethod
    def empty(cls, dimensions: int) -> PackedMask:
        """Return the mask without a voxel."""
        return cls(Region.empty(dimensions), np.zeros(0, dtype=np.uint8))

    @classmethod
    def of_patch(cls, patch: NDArray[Any], region: Region) -> PackedMask:
        """Return the voxels of ``patch``, which covers ``region`` of the image, that are not zero."""
        tight = mask_region(patch)
        if tight.is_empty:
            return cls.empty(patch.ndim)
        return cls(tight.shift(region.start), np.packbits(patch[tight.slices] != 0))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedMask) and self.region == other.region and np.array_equal(self.bits, other.bits)

    def __hash__(self) -> int:
        return hash((self.region, self.bits.tobytes()))

    @property
    def nbytes(self) -> int:
        """Size in memory, with a round figure for the object itself."""
        return self.bits.nbytes + 256

    @property
    def voxels(self) -> int:
        """Number of voxels in the mask."""
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    def patch(self, within: Region | None = None) -> NDArray[np.uint8]:
        """Return the mask as uint8 0/1 of the shape of ``within``, which must hold its region (by default just
        that).
        """
        count = math.prod(self.region.shape)
        own = np.unpackbits(self.bits, count=count).reshape(self.region.shape)
        if within is None:
            return own
        result = np.zeros(within.shape, dtype=np.uint8)
        if count:
            result[self.region.shift([-a for a in within.start]).slices] = own
        return result

    def differing(self, other: PackedMask) -> PackedMask:
        """Return the voxels that are in this mask or in ``other`` but not in both."""
        union = self.region.union(other.region)
        if union.is_empty:
            return PackedMask.empty(len(union.start))
        return PackedMask.of_patch(self.patch(union) ^ other.patch(union), union)

    def changed(self, other: PackedMask) -> Region:
        """Return the smallest region outside which this mask and ``other`` are equal."""
        union = self.region.union(other.region)
        if union.is_empty:
            return union
        difference = changed_region(self.patch(union), other.patch(union))
        return difference if difference.is_empty else difference.shift(union.start)
