"""Timing the stages of a command, with a sign of life on those that take longer than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.0
"""Seconds before a stage shows that it is still at work."""


class Stages:
    """Seconds of each stage of a command.

    Attributes:
        seconds: Wall time by stage, in the order they began.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[None]:
        """Time a block under ``name``; ``doing`` ("reading scan.nii.gz") is shown where it takes long."""
        began = time.perf_counter()
        try:
            with busy(doing):
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @property
    def total(self) -> float:
        """Seconds since the first stage could begin."""
        return time.perf_counter() - self._began


@contextmanager
def busy(doing: str) -> Iterator[None]:
    """Show ``doing`` with a spinner once the block has taken a second, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    spinner = _Spinner(doing)
    timer = threading.Timer(PATIENCE, spinner.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        spinner.stop()


class _Spinner:
    """Starts in a timer's thread and stops in the main one, in either order."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._lock = threading.Lock()
        self._over = False
        self._status: Any = None

    def start(self) -> None:
        # Imported late: most stages end before anyone has to wait for it.
        from rich.console import Console
        from rich.markup import escape

        with self._lock:
            if not self._over:
                self._status = Console(stderr=True).status(escape(self._doing))
                self._status.start()

    def stop(self) -> None:
        with self._lock:
            self._over = True
            if self._status is not None:
                self._status.stop()
