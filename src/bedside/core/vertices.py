"""Vertices of a stroke or outline as an array, for the many copies of prompts that are kept on grids of windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Coordinates = tuple[float, ...]


class Vertices(Sequence[Coordinates]):
    """Points that read as a tuple of tuples does and take an eighth of its memory.

    Args:
        positions: float64 (m, 2 or 3), (x, y[, z]) order; nobody changes it afterwards.

    Example:
        >>> line = Vertices(np.array([[1.0, 2.0], [3.0, 4.0]]))
        >>> line[1], line == ((1.0, 2.0), (3.0, 4.0))
        ((3.0, 4.0), True)
    """

    __slots__ = ("_positions",)

    def __init__(self, positions: NDArray[np.float64]) -> None:
        self._positions = np.array(positions, dtype=np.float64)
        self._positions.setflags(write=False)

    @property
    def nbytes(self) -> int:
        """Bytes of the coordinates."""
        return self._positions.nbytes

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._positions, dtype=dtype) if copy else np.asarray(self._positions, dtype=dtype)

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Coordinates]:
        return iter(map(tuple, self._positions.tolist()))

    @overload
    def __getitem__(self, index: int) -> Coordinates: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Coordinates, ...]: ...
    def __getitem__(self, index: int | slice) -> Coordinates | tuple[Coordinates, ...]:
        found = self._positions[index].tolist()
        return tuple(map(tuple, found)) if isinstance(index, slice) else tuple(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple | Vertices) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))
