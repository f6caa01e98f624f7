"""Masks of a session: as they are kept with their prompts, and one dense array to show them in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.core.mask import PackedMask


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
        """Return ``mask`` as a read-only uint8 0/1 array of the image's shape, valid until the next call."""
        if mask is not self._shown:
            self._array[self._shown.region.slices] = 0
            self._array[mask.region.slices] = mask.patch()
            self._shown = mask
        view = self._array.view()
        view.flags.writeable = False
        return view
