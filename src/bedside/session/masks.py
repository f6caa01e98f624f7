"""Binary masks kept small: packed bits of the region they fill, and one dense array to show them in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
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

    @classmethod
    def empty(cls, dimensions: int) -> PackedMask:
        """The mask without a voxel."""
        return cls(Region.empty(dimensions), np.zeros(0, dtype=np.uint8))

    @classmethod
    def of_patch(cls, patch: NDArray[Any], region: Region) -> PackedMask:
        """The voxels of ``patch``, which covers ``region`` of the image, that are not zero."""
        tight = mask_region(patch)
        if tight.is_empty:
            return cls.empty(patch.ndim)
        return cls(tight.shift(region.start), np.packbits(patch[tight.slices] != 0))

    @property
    def nbytes(self) -> int:
        """Size in memory, with a round figure for the object itself."""
        return self.bits.nbytes + 256

    @property
    def voxels(self) -> int:
        """Number of voxels in the mask."""
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    def patch(self, within: Region | None = None) -> NDArray[np.uint8]:
        """The mask as uint8 0/1 of the shape of ``within``, which must hold its region (by default just that)."""
        count = int(np.prod(self.region.shape, dtype=np.int64))
        own = np.unpackbits(self.bits, count=count).reshape(self.region.shape)
        if within is None:
            return own
        result = np.zeros(within.shape, dtype=np.uint8)
        if count:
            result[self.region.shift([-a for a in within.start]).slices] = own
        return result

    def changed(self, other: PackedMask) -> Region:
        """The smallest region outside which this mask and ``other`` are equal."""
        union = self.region.union(other.region)
        if union.is_empty:
            return union
        difference = changed_region(self.patch(union), other.patch(union))
        return difference if difference.is_empty else difference.shift(union.start)


@dataclass(frozen=True, eq=False)
class KeptMask:
    """A mask that prompts made, as it is kept with them.

    Attributes:
        mask: The mask.
        quality: Its DSC as the model estimated it; None where it did not.
    """

    mask: PackedMask
    quality: float | None = None


class Canvas:
    """One dense mask of the whole image that shows one packed mask at a time.

    Switching touches the voxels of the two masks only and never the whole volume.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._array = np.zeros(shape, dtype=np.uint8)
        self._shown = PackedMask.empty(len(shape))

    @property
    def ndim(self) -> int:
        """Axes of the image, 2 or 3."""
        return self._array.ndim

    def show(self, mask: PackedMask) -> NDArray[np.uint8]:
        """``mask`` as a read-only uint8 0/1 array of the image's shape, valid until the next call."""
        if mask is not self._shown:
            self._array[self._shown.region.slices] = 0
            self._array[mask.region.slices] = mask.patch()
            self._shown = mask
        view = self._array.view()
        view.flags.writeable = False
        return view


class MaskCache:
    """Masks by key within a budget of memory; the least recently used are dropped first.

    Args:
        limit: Bytes that the masks may take together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[Hashable, PackedMask] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable) -> PackedMask | None:
        """The mask kept under ``key``; None where it was never kept or has been dropped."""
        mask = self._entries.get(key)
        if mask is not None:
            self._entries.move_to_end(key)
        return mask

    def put(self, key: Hashable, mask: PackedMask) -> None:
        """Keep ``mask`` under ``key``, dropping the least recently used where the budget asks for it."""
        self.discard(key)
        self._entries[key] = mask
        self._size += mask.nbytes
        while self._size > self._limit:
            _, dropped = self._entries.popitem(last=False)
            self._size -= dropped.nbytes

    def discard(self, key: Hashable) -> None:
        """Forget ``key``, if it is there."""
        mask = self._entries.pop(key, None)
        if mask is not None:
            self._size -= mask.nbytes

    def __len__(self) -> int:
        return len(self._entries)
