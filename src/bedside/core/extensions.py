"""What other installed packages add to Bedside, found by their entry points.

A package states in its ``pyproject.toml`` what it brings, under the groups ``bedside.readers``, ``bedside.writers``,
``bedside.metrics``, ``bedside.runtimes``, ``bedside.baselines``, ``bedside.engines``, ``bedside.encodings``,
``bedside.edits``, ``bedside.layouts``, ``bedside.protocols`` and ``bedside.weights``::

    [project.entry-points."bedside.readers"]
    example = "bedside_example.formats:READER"

    [project.entry-points."bedside.weights"]
    example-2d = "bedside_example.network"

A value names the object that is registered under the entry's name; that of a model names the module of its network (see
``weights.models``). A package that cannot be used is told of in one line and takes nothing else down.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PREFIX = "bedside."

log = logging.getLogger("bedside.extensions")


@dataclass(frozen=True)
class Extension:
    """One entry point of an installed package.

    Attributes:
        group: What it adds to, without ``bedside.`` ("readers").
        name: What the entry is called.
        value: "module" or "module:attribute".
        distribution: Name of the package as it was installed.
        version: Version of the package.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str

    @property
    def module(self) -> str:
        """Name of the module."""
        return self.value.partition(":")[0].strip()

    def load(self) -> Any:
        """Import the object, or the module where the value names no attribute."""
        module, _, attributes = self.value.partition(":")
        found: Any = importlib.import_module(module.strip())
        return functools.reduce(getattr, attributes.strip().split("."), found) if attributes.strip() else found

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}, entry point {PREFIX}{self.group} {self.name} = {self.value}"


@functools.cache
def all_extensions() -> Mapping[str, Sequence[Extension]]:
    """Return every entry point of the groups of Bedside by its group, in the order of their names; nothing is
    imported.
    """
    # Imported late, since it takes longer than all of `import bedside`.
    from importlib.metadata import distributions

    found: dict[str, list[Extension]] = {}
    seen: set[str] = set()
    for distribution in distributions():
        text = distribution.read_text("entry_points.txt")
        if not text or f"[{PREFIX}" not in text:
            continue
        name = distribution.metadata["Name"]
        # The first on the path is the one that is imported.
        if name in seen:
            continue
        seen.add(name)
        for entry in distribution.entry_points:
            if entry.group.startswith(PREFIX):
                group = entry.group.removeprefix(PREFIX)
                found.setdefault(group, []).append(
                    Extension(group, entry.name, entry.value, name, distribution.version)
                )
    return {group: sorted(entries, key=lambda e: (e.name, e.distribution)) for group, entries in found.items()}


def extensions(group: str) -> Sequence[Extension]:
    """Return the entry points of a group ("readers"), sorted by name; nothing is imported."""
    return all_extensions().get(group, ())


_PROBLEMS: dict[Extension, str] = {}


def report(extension: Extension, problem: object) -> None:
    """Tell in one line, once, that an extension cannot be used.

    Args:
        extension: Which.
        problem: An exception, or what is wrong in words.
    """
    text = f"{type(problem).__name__}: {problem}" if isinstance(problem, BaseException) else str(problem)
    line = " ".join(f"bedside: warning: {extension} is left out: {text}".split())
    if extension not in _PROBLEMS:
        _PROBLEMS[extension] = line
        log.warning("%s", line)


def problem_of(extension: Extension) -> str | None:
    """Return what was reported of an extension; None where nothing was."""
    return _PROBLEMS.get(extension)
