"""What goes between this machine and a PACS for a while: told of while it goes, and ended when somebody asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from bedside.archive.retries import Backoff
from bedside.core.disk import storage_error
from bedside.core.errors import BedsideError, StoppedError
from bedside.serve.errors import NotFoundError

Kind = Literal["fetch", "store"]
State = Literal["running", "done", "stopped", "failed"]

KEPT = 100
"""Transfers that can still be asked for after they have ended."""

log = logging.getLogger("bedside.serve")


class Transfer:
    """Files on their way. One thread moves them, any may look.

    Args:
        number: By which it is asked for.
        kind: Which way they go.

    Attributes:
        state: How it stands.
        done: Instances that are there.
        total: Instances that there will be; None until it is known.
        path: Where what was fetched lies.
        notes: What to know of it, a sentence each.
        problem: Why it failed.
    """

    def __init__(self, number: int, kind: Kind) -> None:
        self.number, self.kind = number, kind
        self.state: State = "running"
        self.done = 0
        self.total: int | None = None
        self.path: Path | None = None
        self.notes: tuple[str, ...] = ()
        self.problem: Exception | None = None
        self._ended = threading.Event()

    @property
    def backoff(self) -> Backoff:
        """How often it is tried again: as often as by the command, with pauses that an end cuts short."""
        return Backoff(sleep=self._sleep)

    def advance(self, done: int, total: int) -> None:
        """Take note of progress.

        Raises:
            StoppedError: It is to end.
        """
        self.done, self.total = done, total
        self.check()

    def check(self) -> None:
        """Return where it may go on.

        Raises:
            StoppedError: It is to end.
        """
        if self._ended.is_set():
            raise StoppedError("the transfer was stopped", fix="what came is kept; ask again to go on")

    def end(self) -> None:
        """Have it end where it looks next; what came is kept."""
        self._ended.set()

    def run(self, work: Callable[[Transfer], None]) -> None:
        """Do the work, and keep what became of it."""
        try:
            self.check()
            work(self)
            self.state = "done"
        except StoppedError:
            self.state = "stopped"
        except Exception as error:
            told = storage_error("what the server keeps", error) if isinstance(error, OSError) else None
            self.problem = told or error
            if not isinstance(self.problem, BedsideError):
                # Its own text may repeat what an archive answered.
                log.error("a transfer failed: %s", type(error).__name__)
            self.state = "failed"

    def _sleep(self, seconds: float) -> None:
        self._ended.wait(seconds)
        self.check()


class Transfers:
    """All transfers of a server. Any thread may ask.

    Args:
        threads: How many go at a time.
    """

    def __init__(self, threads: int = 2) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="bedside-pacs")
        self._guard = threading.Lock()
        self._known: dict[int, Transfer] = {}
        self._keys: dict[str, Transfer] = {}

    def begin(self, kind: Kind, work: Callable[[Transfer], None], key: str | None = None) -> Transfer:
        """Begin one; the one of the same key that is still running is returned in its stead."""
        with self._guard:
            running = self._keys.get(key) if key is not None else None
            if running is not None and running.state == "running":
                return running
            made = Transfer(max(self._known, default=0) + 1, kind)
            self._known[made.number] = made
            if key is not None:
                self._keys[key] = made
            self._forget()
        self._threads.submit(made.run, work)
        return made

    def transfer(self, number: int) -> Transfer:
        """Return one by its number.

        Raises:
            NotFoundError: There is none.
        """
        found = self._known.get(number)
        if found is None:
            raise NotFoundError("transfer", expected="the number of a transfer of this start", got=number)
        return found

    def stop(self) -> None:
        """End all."""
        for transfer in list(self._known.values()):
            transfer.end()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self) -> None:
        ended = [number for number, one in self._known.items() if one.state != "running"]
        for number in ended[: max(0, len(self._known) - KEPT)]:
            gone = self._known.pop(number)
            self._keys = {key: one for key, one in self._keys.items() if one is not gone}
