"""What prompts are on the grids of windows, kept while the same windows are looked at again.

A long session has hundreds of strokes, and each pass of a network needs all of them on its window's grid. What is kept
here is what would be computed again, bit for bit; how much is bounded by bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from bedside.core.cache import LruCache

KEPT_BYTES = 48 * 2**20
"""Memory for what is kept of one image's prompts; a click needs none of it."""

V = TypeVar("V")


class KeptShapes:
    """Values that follow from a prompt and a place, the least recently used dropped first.

    Args:
        limit: Bytes that they may take.
    """

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._cache: LruCache[tuple[int, Hashable], tuple[Any, Any, int]] = LruCache(limit, lambda entry: entry[2])

    def get(self, of: object, place: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
        """Return what ``make`` gave for this very object and an equal place, or what it gives now.

        Args:
            of: Known by its identity, as comparing a long stroke takes as long as painting a short one.
            place: Where it lies, and of what kind the value is.
            make: Gives the value, which nobody changes.
            size: Its bytes.
        """
        key = (id(of), place)
        found = self._cache.get(key)
        if found is not None and found[0] is of:
            value: V = found[1]
            return value
        value = make()
        # With the object itself, so that its identity becomes no other's.
        self._cache.put(key, (of, value, size(value)))
        return value


_KEPT: ContextVar[KeptShapes | None] = ContextVar("bedside_kept_shapes", default=None)


@contextmanager
def keeping(shapes: KeptShapes) -> Iterator[None]:
    """Keep in ``shapes`` what this thread computes of prompts in the block."""
    token = _KEPT.set(shapes)
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept(of: object, place: Hashable, make: Callable[[], V], size: Callable[[V], int]) -> V:
    """Return what ``make`` gives, or gave before where this thread keeps it (see ``KeptShapes.get``)."""
    shapes = _KEPT.get()
    return make() if shapes is None else shapes.get(of, place, make, size)
