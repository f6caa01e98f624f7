"""Images that are too large to read: levels of a pyramid that are looked into where they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Level(Protocol):
    """An array on disk: one level of a pyramid, spatial axes first, then perhaps colour."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples along each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        ...

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        """Return a block, read now."""
        ...


class Pyramid:
    """Looks like the array of its finest level, and reads no more than it is asked for.

    A block with steps is read from the coarsest level that has a sample for each: what the window engine asks for when
    it looks at much of an image is a small part of the file.

    Args:
        levels: The same image at falling resolution, the finest first; each axis of a level covers the same extent.
        spatial: Number of spatial axes, 2 or 3.
    """

    def __init__(self, levels: Sequence[Level], spatial: int) -> None:
        self._levels = list(levels)
        self._spatial = spatial

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the finest level."""
        return tuple(int(n) for n in self._levels[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        return np.dtype(self._levels[0].dtype)

    @property
    def ndim(self) -> int:
        """Axes, with that of colour."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Samples of the finest level."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of a sample."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes that the finest level would take."""
        return self.size * self.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all of the finest level."""
        del copy
        return np.asarray(self[(slice(None),) * self.ndim], dtype)

    @property
    def overview(self) -> NDArray[Any]:
        """All of the coarsest level."""
        level = self._levels[-1]
        return np.asarray(level[(slice(None),) * len(level.shape)])

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Return a block: slices with positive steps, whole numbers, or an ellipsis, as of an array."""
        keys = _complete(key, self.ndim)
        whole = [isinstance(k, int | np.integer) for k in keys]
        ranges = [
            range(int(k) % n, int(k) % n + 1) if w else range(*k.indices(n))
            for k, w, n in zip(keys, whole, self.shape, strict=True)
        ]
        block = self._block(ranges)
        return block[tuple(0 if w else slice(None) for w in whole)]

    def _block(self, ranges: Sequence[range]) -> NDArray[Any]:
        if any(len(r) == 0 for r in ranges):
            return np.empty([len(r) for r in ranges], self.dtype)
        level = self._level([r.step for r in ranges])
        places = [self._places(r, n, m) for r, n, m in zip(ranges, self.shape, level.shape, strict=True)]
        read = np.asarray(level[tuple(slice(int(p[0]), int(p[-1]) + 1) for p in places)])
        for axis, place in enumerate(places):
            if len(place) != read.shape[axis]:
                read = np.take(read, place - place[0], axis)
        return read

    def _level(self, steps: Sequence[int]) -> Level:
        """Return the coarsest level whose samples are no farther apart than the steps."""
        for level in reversed(self._levels):
            factors = [n / m for n, m in zip(self.shape, level.shape, strict=True)]
            if all(f <= step * 1.01 for f, step in zip(factors, steps, strict=True)):
                return level
        return self._levels[0]

    @staticmethod
    def _places(wanted: range, size: int, there: int) -> NDArray[np.intp]:
        """Return the samples of a level at which those of the finest level lie."""
        finest = np.arange(wanted.start, wanted.stop, wanted.step)
        return np.minimum(((finest + 0.5) * (there / size)).astype(np.intp), there - 1)


def is_pyramid(array: Any) -> bool:
    """Return whether what stands for an image's samples is read only where it is looked at."""
    return isinstance(array, Pyramid)


def overview_of(array: Any) -> NDArray[Any]:
    """Return an array itself, or the coarsest level of a pyramid: enough for its range and statistics."""
    found: NDArray[Any] = array.overview if isinstance(array, Pyramid) else array
    return found


def _complete(key: Any, axes: int) -> list[Any]:
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(k is Ellipsis for k in keys):
        place = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys[place : place + 1] = [slice(None)] * (axes - len(keys) + 1)
    return keys + [slice(None)] * (axes - len(keys))
