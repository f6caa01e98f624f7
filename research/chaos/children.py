"""Commands in forked children that are killed, at a random moment or at a random operation on a file."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

LONGEST = 300.0
"""Seconds after which a child that was not to be killed counts as hanging."""

How = Literal["moment", "operation", "worker"]


@dataclass(frozen=True)
class Kill:
    """When a child dies.

    Attributes:
        how: "moment": after so many seconds, with all its processes. "operation": before so many operations on files.
            "worker": after so many seconds one of its own processes dies, and it lives on.
        at: Seconds or operations.
    """

    how: How
    at: float


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        status: Exit status; less than 0 for a signal.
        seconds: How long it ran.
        operations: On files, of a child that was not killed.
        said: What it printed.
        hit: Whether the kill came before the end.
    """

    status: int
    seconds: float
    operations: int
    said: str
    hit: bool


def run_child(work: Callable[[], int], kill: Kill | None, log: Path) -> Ended:
    """Run ``work`` in a child, and kill it where that is wanted; waits until all its processes are gone."""
    count = log.with_suffix(".count")
    count.unlink(missing_ok=True)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_child(work, kill, log, count)
    hit = False
    if kill is not None and kill.how != "operation":
        hit = not _ends(child, kill.at)
        if hit and kill.how == "worker":
            for process in _children(child)[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        elif hit:
            os.killpg(child, signal.SIGKILL)
    if not _ends(child, LONGEST):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - began
    # Processes of its own outlive one that died alone.
    until = time.monotonic() + 20
    while _alive(child) and time.monotonic() < until:
        time.sleep(0.02)
    code = os.waitstatus_to_exitcode(status)
    hit = hit or (kill is not None and kill.how == "operation" and code == -signal.SIGKILL)
    operations = int(count.read_text()) if count.exists() else 0
    return Ended(code, seconds, operations, log.read_text(errors="replace"), hit)


def _ends(child: int, seconds: float) -> bool:
    """Wait for a child for so many seconds; returns whether it has ended. It can still be waited for."""
    until = time.monotonic() + seconds
    while True:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.002)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _children(process: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _be_child(work: Callable[[], int], kill: Kill | None, log: Path, count: Path) -> NoReturn:
    os.setsid()
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    operations = [0]
    _count_operations(operations, kill.at if kill is not None and kill.how == "operation" else None)
    status = 70
    try:
        status = work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        seen = operations[0]
        sys.stdout.flush()
        sys.stderr.flush()
        count.write_text(str(seen))
        os._exit(status)


_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")


def _count_operations(operations: list[int], last: float | None) -> None:
    """Count what this process does to files from now on, and end it before the operation of a number."""

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = given
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR) or str(path).startswith("/dev/"):
                return
        elif event not in _CHANGES:
            return
        operations[0] += 1
        if last is not None and operations[0] >= last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
