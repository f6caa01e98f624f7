"""One registry for everything that can be added in one file: readers, writers, metrics, runtimes, recipes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

from bedside.core.errors import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named entries, found by importing the modules of a package the first time one is asked for.

    Args:
        kind: What an entry is, for error messages ("reader", "metric").
        package: Package whose modules register their entries when imported.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds an entry under ``name``.

        Raises:
            InputError: The name is taken by another entry.
        """

        def add(entry: T) -> T:
            if name in self._entries:
                raise InputError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """The entry called ``name``.

        Raises:
            InputError: No entry has that name.
        """
        self._discover()
        if name not in self._entries:
            close = get_close_matches(name, self._entries, n=1)
            raise InputError(
                f"unknown {self.kind}",
                expected=f"one of {', '.join(self.names())}",
                got=f"'{name}'",
                fix=f"did you mean '{close[0]}'?" if close else None,
            )
        return self._entries[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        self._discover()
        return sorted(self._entries)

    def items(self) -> Iterator[tuple[str, T]]:
        """All entries with their names, sorted by name."""
        return ((name, self._entries[name]) for name in self.names())

    def _discover(self) -> None:
        if self._discovered:
            return
        # Set first, because a module may ask the registry while it is being imported.
        self._discovered = True
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
        except BaseException:
            # A later call must fail the same way and not answer from half of the entries.
            self._discovered = False
            raise
