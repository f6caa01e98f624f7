"""Ctrl+C, and the signal to end (SIGTERM), that wait for a good moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a run to stop: a terminal, and whoever manages processes."""


@dataclass
class Interrupt:
    """Whether an interruption was asked for.

    Attributes:
        requested: True once Ctrl+C was pressed, or the process was told to end.
    """

    requested: bool = False


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Note the first Ctrl+C or SIGTERM instead of raising it; the second raises ``KeyboardInterrupt`` at once.

    Only the main thread can do so; elsewhere the interruption is never asked for.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:
        del number, frame
        interrupt.requested = True
        for again in SIGNALS:
            signal.signal(again, signal.default_int_handler)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield interrupt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
