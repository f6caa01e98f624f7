"""Encoded slices that are kept for the boxes to come, as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from bedside.core.cache import LruCache
from bedside.engines.sam.system import View

Encoded = tuple[View, Mapping[str, NDArray[Any]]]
"""A slice as the encoder saw it, and what it made of it."""


class SliceCache(LruCache[int, Encoded]):
    """The slices used last, each with what its encoder made of it.

    Args:
        memory: Most bytes that are kept. The newest slice is kept whatever its size.
    """

    def __init__(self, memory: int) -> None:
        super().__init__(memory, _size, keep_newest=True)

    def get_or_make(self, index: int, make: Callable[[int], Encoded]) -> Encoded:
        """Return slice ``index``: the one kept, or else what ``make`` makes of it."""
        kept = self.get(index)
        if kept is None:
            kept = make(index)
            self.put(index, kept)
        return kept


def _size(entry: Encoded) -> int:
    view, features = entry
    return view.pixels.nbytes + view.colours.nbytes + sum(array.nbytes for array in features.values())
