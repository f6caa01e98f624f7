"""Loading by the runtime that is preferred, and where it cannot, by the next one, which is said in a line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from bedside.core.errors import BackendError, BedsideError
from bedside.runtime.backend import PREFERENCE, Backend, Device, backends

Loaded = TypeVar("Loaded")

log = logging.getLogger("bedside.runtime")
_SAID: set[str] = set()


def load_by(backend: Backend, load: Callable[[Backend], Loaded]) -> Loaded:
    """Return what ``load`` makes by a runtime.

    Raises:
        BackendError: The runtime is installed and cannot be imported, or memory does not suffice.
    """
    try:
        return load(backend)
    except ImportError as error:
        raise BackendError(
            f"runtime '{backend.name}'",
            expected="one that can be imported",
            got=str(error)[:200],
            fix="install it again",
        ) from error
    except MemoryError as error:
        raise BackendError(f"runtime '{backend.name}'", expected="memory to load a model", got="too little") from error


def load_by_first(candidates: Iterable[Backend], load: Callable[[Backend], Loaded], device: Device) -> Loaded:
    """Return what ``load`` makes by the first runtime that can, and say so where that is not the preferred one.

    Args:
        candidates: At least one, the preferred one first.
        load: Makes something by a runtime.
        device: Where it is to run; on CUDA another runtime is preferred, and nothing is said of one that is missing.

    Raises:
        BackendError: None of them can; the error is that of the first.
    """
    first: BedsideError | None = None
    for backend in candidates:
        try:
            made = load_by(backend, load)
        except BackendError as error:
            first = first or error
            continue
        if first is not None:
            _say(f"{first}; {backend.name} predicts instead")
        elif device != "cuda" and backends.get(PREFERENCE[0]).version() is None:
            fix = f"pip install {PREFERENCE[0]}"
            _say(f"{PREFERENCE[0]} is not installed: {backend.name} predicts instead, which takes longer; {fix}")
        return made
    assert first is not None
    raise first


def _say(text: str) -> None:
    """Warn in one line, once in a process."""
    line = " ".join(f"bedside: warning: {text}".split())
    if line not in _SAID:
        _SAID.add(line)
        log.warning("%s", line)
