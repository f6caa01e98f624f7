"""Reads files in child processes that may crash, hang or fill the memory, and tells of each file how it ended."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bedside.core.errors import BedsideError

Ending = Literal["read", "rejected", "foreign", "crash", "hang"]

LONGEST = 10.0
"""Seconds that reading a file may take."""
_MOST_MEMORY = 6 * 2**30
"""Bytes of address space of a child; what wants more fails with a MemoryError, which is foreign."""


@dataclass(frozen=True)
class Result:
    """How reading one file ended.

    Attributes:
        ending: What happened.
        seconds: How long it took.
        grown: Bytes by which the memory in use grew at most.
        held: Bytes of the samples that were read.
        note: Where a foreign exception came from, or the signal of a crash.
    """

    ending: Ending
    seconds: float = 0.0
    grown: int = 0
    held: int = 0
    note: str = ""


def read_all(jobs: Sequence[Callable[[], int]], longest: float = LONGEST) -> list[Result]:
    """Run jobs one after the other in a child; after one that ends the child, the rest run in another.

    Args:
        jobs: Each reads a file and returns the bytes of its samples.
        longest: Seconds for each.
    """
    results: list[Result] = []
    while len(results) < len(jobs):
        results += _read_some(jobs[len(results) :], longest)
    return results


def _read_some(jobs: Sequence[Callable[[], int]], longest: float) -> list[Result]:
    """Return the results of a child: of all jobs, or up to the one that ended it."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        _be_child(jobs, sink)
    os.close(sink)
    results = [Result(**json.loads(line)) for line in _lines(source, longest)]
    os.close(source)
    if len(results) == len(jobs):
        os.waitpid(child, 0)
        return results
    status = _ended(child)
    if status is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return [*results, Result("hang", longest)]
    return [*results, Result("crash", note=signal.Signals(-status).name if status < 0 else f"exit {status}")]


def _ended(child: int) -> int | None:
    """Return the exit status of a child, less than 0 for a signal; None where it lives on.

    One that dies closes its pipe shortly before it can be waited for.
    """
    until = time.monotonic() + 1
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def _lines(source: int, longest: float) -> Iterator[str]:
    """Yield what a child writes, until it ends or takes longer than ``longest`` for a line."""
    waiting, kept = selectors.DefaultSelector(), b""
    waiting.register(source, selectors.EVENT_READ)
    until = time.monotonic() + longest
    while (left := until - time.monotonic()) > 0 and waiting.select(left):
        piece = os.read(source, 65536)
        if not piece:
            break
        kept += piece
        *complete, kept = kept.split(b"\n")
        for line in complete:
            yield line.decode()
            until = time.monotonic() + longest
    waiting.close()


def _be_child(jobs: Sequence[Callable[[], int]], sink: int) -> None:
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Where the parent reports crashes, as a run of tests does, this one's is told by its signal.
        faulthandler.disable()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        for job in jobs:
            result = _result_of(job)
            os.write(sink, (json.dumps(result.__dict__) + "\n").encode())
        status = 0
    finally:
        # Nothing of the parent is to be tidied up here.
        os._exit(status)


def _result_of(job: Callable[[], int]) -> Result:
    before, began = _reset_peak(), time.monotonic()
    ending: Ending = "read"
    held, note = 0, ""
    try:
        held = job()
    except BedsideError as error:
        ending = "rejected"
        if isinstance(error.__cause__, MemoryError):
            ending, note = "foreign", "MemoryError"
    except BaseException as error:
        ending, note = "foreign", _origin(error)
    return Result(ending, time.monotonic() - began, max(0, _memory("VmHWM") - before), held, note)


def _origin(error: BaseException) -> str:
    """Return the kind of an exception and the last place in Bedside's own code that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/bedside/" in f.filename] or frames
    place = f"{own[-1].filename.rpartition('/')[2]}:{own[-1].name}" if own else "?"
    return f"{type(error).__name__} in {place}"


def _reset_peak() -> int:
    """Set the highest memory use to the present one, which is returned; in bytes."""
    if sys.platform == "linux":
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:  # noqa: PTH123 - no file to have a path
            file.write("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """Return a line of this process's status, in bytes; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123 - no file to have a path
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith(name)), 0)
