"""One registry for everything that can be added in one file: readers, writers, metrics, runtimes, encodings."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from bedside.core.errors import InputError
from bedside.core.extensions import Extension, extensions, report

T = TypeVar("T")


class Registry(Generic[T]):
    """Named entries: those of a package of Bedside's, and those of other installed packages.

    They are found the first time that one is asked for: the package's modules, which register their entries when they
    are imported, and then the entry points of the group ``bedside.<kind>s`` (see ``core.extensions``). An entry of
    another package that cannot be imported, is of another type or has a name that is taken is told of and left out.

    Args:
        kind: What an entry is, for error messages ("reader", "metric").
        package: Package whose modules register their entries when imported.
        of: Type of the entries, which those of other packages are held against; None for anything.
    """

    def __init__(self, kind: str, package: str, of: type[Any] | None = None) -> None:
        self.kind = kind
        self._package = package
        self._of = of
        self._entries: dict[str, T] = {}
        self._origins: dict[str, Extension] = {}
        self._discovered = False

    @property
    def group(self) -> str:
        """Name of the group of entry points, without ``bedside.``."""
        return f"{self.kind}s"

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds an entry under ``name``.

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
        """Return the entry called ``name``.

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
        """Return all names, sorted."""
        self._discover()
        return sorted(self._entries)

    def items(self) -> Iterator[tuple[str, T]]:
        """Return all entries with their names, sorted by name."""
        return ((name, self._entries[name]) for name in self.names())

    def origin(self, name: str) -> Extension | None:
        """Return the entry point that an entry came from; None for one of Bedside's own."""
        self._discover()
        return self._origins.get(name)

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
            # A later call must fail the same way and not predict from half of the entries.
            self._discovered = False
            raise
        for extension in extensions(self.group):
            self._add(extension)

    def _add(self, extension: Extension) -> None:
        if extension.name in self._entries:
            owner = self._origins.get(extension.name)
            report(
                extension, f"{self.kind} '{extension.name}' is {owner.distribution if owner else 'bedside'}'s already"
            )
            return
        try:
            entry = extension.load()
        # Other people's code may fail in any way, and the rest has to go on.
        except Exception as error:
            report(extension, error)
            return
        if self._of is not None and not isinstance(entry, self._of):
            report(extension, f"expected a {self._of.__name__}, got {type(entry).__name__}")
            return
        self._entries[extension.name] = entry
        self._origins[extension.name] = extension
