"""Keeping what libraries log of a query or an answer off every log: it names patients."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bedside.io.quiet import quiet

_LOGGERS = ("pynetdicom", "dicomweb_client", "urllib3", "retrying")
_lock = threading.Lock()
_inside = 0
_levels: list[int] = []


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back the lines and warnings of the libraries that talk to archives, and of pydicom.

    Nested and concurrent uses share one state, which the last to leave takes back.
    """
    global _inside  # noqa: PLW0603 - loggers are those of the process, and so is their state
    with _lock:
        if _inside == 0:
            _levels[:] = [logging.getLogger(name).level for name in _LOGGERS]
            for name in _LOGGERS:
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        _inside += 1
    try:
        with quiet():
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for name, level in zip(_LOGGERS, _levels, strict=True):
                    logging.getLogger(name).setLevel(level)
