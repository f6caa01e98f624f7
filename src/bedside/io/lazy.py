"""Levels of a pyramid on disk, as Bedside lays out axes, and when they are read at once."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import DependencyError
from bedside.core.pyramid import Pyramid
from bedside.io.packed_blocks import check_packed

AT_ONCE = 2**28
"""Bytes up to which an image is read at once."""


class StoredLevel:
    """One level of a stored pyramid.

    Args:
        array: A zarr array.
        chosen: Index on each of its axes that is none of space or colour; None on the others.
        colour: Its axis of colour, which comes last here; None where it has none.
        spatial: Its axes of space in the order that they have here; None for the order in which it stores them.
    """

    def __init__(
        self,
        array: Any,
        chosen: Sequence[int | None],
        colour: int | None = None,
        spatial: Sequence[int] | None = None,
    ) -> None:
        self._array = array
        self._chosen = tuple(chosen)
        kept = [axis for axis, index in enumerate(self._chosen) if index is None]
        self._kept = list(spatial) if spatial is not None else [axis for axis in kept if axis != colour]
        self._colour = colour
        # Places in what is read of the axes as they come here.
        self._places = [kept.index(axis) for axis in (*self._kept, *([] if colour is None else [colour]))]

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial axes, then colour."""
        axes = [*self._kept, *([] if self._colour is None else [self._colour])]
        return tuple(int(self._array.shape[axis]) for axis in axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        """Return a block, read now."""
        full: list[Any] = list(self._chosen)
        for axis, part in zip(self._kept, key, strict=False):
            full[axis] = part
        if self._colour is not None:
            full[self._colour] = slice(None)
        check_packed(self._array, full)
        read = np.asarray(self._array[tuple(full)]).transpose(self._places)
        if self._colour is not None and len(key) > len(self._kept):
            read = read[..., key[len(self._kept)]]
        return read.astype(read.dtype.newbyteorder("="), copy=False)


def image_array(levels: Sequence[StoredLevel], spatial: int) -> Any:
    """Return the finest level as an array where it is small, else a pyramid that is read where it is looked at."""
    pyramid = Pyramid(levels, spatial)
    return np.asarray(pyramid) if pyramid.nbytes <= AT_ONCE else pyramid


def need_zarr(what: str) -> Any:
    """Return the library that reads chunked arrays.

    Args:
        what: What needs it, for the message.

    Raises:
        DependencyError: It is not installed.
    """
    if importlib.util.find_spec("zarr") is None:
        raise DependencyError(f"{what} needs zarr", fix="pip install 'bedside[slides]'")
    import zarr

    return zarr
