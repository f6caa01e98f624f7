"""The one cache that drops what was used least recently."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _one(_: object) -> int:
    return 1


class LruCache(Generic[K, V]):
    """Values by key within a limit; the least recently used are dropped first.

    Args:
        limit: Most that the values may add up to, in the units of ``size``.
        size: Size of a value, constant while it is kept, as its bytes; by default each counts 1.
        keep_newest: Whether the newest value is kept even where it alone is larger than ``limit``.

    Example:
        >>> cache: LruCache[str, int] = LruCache(2)
        >>> for number, key in enumerate("abc"):
        ...     dropped = cache.put(key, number)
        >>> list(cache), dropped
        (['b', 'c'], [('a', 0)])
    """

    def __init__(self, limit: int, size: Callable[[V], int] = _one, *, keep_newest: bool = False) -> None:
        self._limit, self._size_of, self._least = limit, size, int(keep_newest)
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """What the values add up to."""
        return self._size

    def get(self, key: K) -> V | None:
        """Return the value kept under ``key``, now the most recently used; None where there is none."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> list[tuple[K, V]]:
        """Keep ``value`` under ``key``, and return what was dropped for it, oldest first."""
        self.discard(key)
        self._entries[key] = value
        self._size += self._size_of(value)
        dropped = []
        while self._size > self._limit and len(self._entries) > self._least:
            old = self._entries.popitem(last=False)
            self._size -= self._size_of(old[1])
            dropped.append(old)
        return dropped

    def discard(self, key: K) -> None:
        """Forget ``key``, if it is there."""
        if key in self._entries:
            self._size -= self._size_of(self._entries.pop(key))

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
