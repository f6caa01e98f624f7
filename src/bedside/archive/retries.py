"""Trying again, with growing pauses, what may work the next time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bedside.core.errors import UnreachableError

T = TypeVar("T")


@dataclass(frozen=True)
class Backoff:
    """How often and after which pauses something is tried again.

    Attributes:
        attempts: Most tries without progress.
        first: Seconds of the first pause; each further is twice as long.
        longest: Seconds that a pause has at most.
        sleep: Waits.
        jitter: Draws the part of a pause that is waited, so that many clients do not come back at once.
    """

    attempts: int = 4
    first: float = 0.5
    longest: float = 15.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.5, 1.0))

    def run(self, action: Callable[[], T], progress: Callable[[], int] = lambda: 0) -> T:
        """Return what ``action`` returns, trying again where the archive could not be reached.

        Args:
            action: Does the work, or what is left of it.
            progress: Counts what is done. Tries count from the last one that did something.

        Raises:
            UnreachableError: The last try failed, too.
        """
        failed, done = 0, progress()
        while True:
            try:
                return action()
            except UnreachableError:
                reached = progress()
                failed = 1 if reached > done else failed + 1
                done = reached
                if failed >= self.attempts:
                    raise
            self.sleep(min(self.first * 2 ** (failed - 1), self.longest) * self.jitter())


ONCE = Backoff(attempts=1)
"""Tries nothing again."""
