"""Stopping work under way: asked from another thread, or by a limit of time, and looked at between passes of a network.

What works for long calls ``check_stop`` between its steps. Whoever starts it says by ``stoppable`` what may end it, so
that nothing is handed from function to function:

    stop = Stop(limit=60)
    with stoppable(stop):
        session.add_point((40, 52))     # raises StoppedError once another thread calls stop.ask()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bedside.core.errors import StoppedError, TimeLimitError

_TAKING = threading.Lock()
"""Held while an end is asked for, and while a change is taken: one of them is first, and the other hears of it."""


class Stop:
    """What may end a piece of work. Any thread may ask.

    Args:
        limit: Seconds that the work may take, without what it waits for others; None for any.
        clock: Seconds that only go on.

    Attributes:
        limit: As it was given.
        asked: Whether somebody asked for the end in time.
        taken: Whether the change was taken, so that nobody ends the work any more.
        progress: Steps that are done and steps in all, of work that says so; None of other work.
        told: Called with these two at each step, in the thread that works; None for nobody.
    """

    def __init__(self, limit: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.asked = False
        self.taken = False
        self.progress: tuple[int, int] | None = None
        self.told: Callable[[int, int], None] | None = None
        self._clock = clock
        self._until: float | None = None

    def ask(self) -> bool:
        """Ask for the end; the work ends when it looks next.

        Returns:
            Whether it will end: False where its change was taken already.
        """
        with _TAKING:
            self.asked = self.asked or not self.taken
            return self.asked

    def close(self) -> bool:
        """Let nobody ask any more; returns whether nobody has."""
        with _TAKING:
            self.taken = not self.asked
            return self.taken

    def check(self) -> None:
        """Return where the work may go on.

        Raises:
            StoppedError: Somebody asked for the end.
            TimeLimitError: The limit is over.
        """
        if self.taken:
            return
        if self.asked:
            raise StoppedError
        if self.limit is not None and self._until is not None and self._clock() > self._until:
            raise TimeLimitError.after(self.limit)

    def again(self) -> Stop:
        """Return what may end the same work when it is begun again."""
        made = Stop(self.limit, self._clock)
        made.told = self.told
        return made

    def tell(self, done: int, of: int) -> None:
        """Take how far the work is."""
        self.progress = done, of
        if self.told is not None:
            self.told(done, of)

    def begin(self) -> None:
        """Count the limit from now on, unless it is counted already."""
        if self.limit is not None and self._until is None:
            self._until = self._clock() + self.limit

    def prolong(self, seconds: float) -> None:
        """Leave out seconds that the work waited for others."""
        if self._until is not None:
            self._until += seconds


_STOPS: ContextVar[tuple[Stop, ...]] = ContextVar("bedside_stops", default=())


@contextmanager
def stoppable(*stops: Stop) -> Iterator[None]:
    """Let each of ``stops`` end what this thread does in the block, beside those that could already.

    Raises:
        StoppedError: One of them was asked before the work began.
    """
    token = _STOPS.set((*_STOPS.get(), *stops))
    try:
        for stop in stops:
            stop.begin()
        check_stop()
        yield
    finally:
        _STOPS.reset(token)


@contextmanager
def unstoppable() -> Iterator[None]:
    """Let nothing end what this thread does in the block: it puts back what was, after an end or a failure."""
    token = _STOPS.set(())
    try:
        yield
    finally:
        _STOPS.reset(token)


@contextmanager
def not_counted() -> Iterator[None]:
    """Count the time of the block against no limit: this thread waits for others."""
    stops, began = _STOPS.get(), time.monotonic()
    try:
        yield
    finally:
        waited = time.monotonic() - began
        for stop in stops:
            stop.prolong(waited)


def check_stop() -> None:
    """Return where this thread's work may go on; called between two steps that take long.

    Raises:
        StoppedError: It is to end.
    """
    for stop in _STOPS.get():
        stop.check()


def report_progress(done: int, of: int) -> None:
    """Say how far this thread's work is, to whoever may end it; called before each step of work that takes many.

    Args:
        done: Steps that are done.
        of: Steps in all, known from the first on.
    """
    for stop in _STOPS.get():
        stop.tell(done, of)


def take_change() -> None:
    """Look once more, and let nothing end this thread's work from here on; called right before a change is taken.

    Whoever asks later is told that it is too late, and whoever asked before has ended the work.

    Raises:
        StoppedError: It is to end; nothing may be taken.
    """
    with _TAKING:
        check_stop()
        for stop in _STOPS.get():
            stop.taken = True
