"""Encoded slices that are kept for the boxes to come, as many as fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from bedside.engines.sam.system import View


class SliceCache:
    """The slices used last, each with what its encoder made of it.

    Args:
        memory: Most bytes that are kept. The newest slice is kept whatever its size.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._kept: OrderedDict[int, tuple[View, Mapping[str, NDArray[Any]]]] = OrderedDict()
        self._bytes = 0

    def get(
        self, index: int, make: Callable[[int], tuple[View, Mapping[str, NDArray[Any]]]]
    ) -> tuple[View, Mapping[str, NDArray[Any]]]:
        """Slice ``index``: the one kept, or else what ``make`` makes of it."""
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        entry = make(index)
        self._kept[index] = entry
        self._bytes += _size(entry)
        while self._bytes > self._memory and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)
        return entry

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)


def _size(entry: tuple[View, Mapping[str, NDArray[Any]]]) -> int:
    view, features = entry
    return view.pixels.nbytes + view.colours.nbytes + sum(array.nbytes for array in features.values())
