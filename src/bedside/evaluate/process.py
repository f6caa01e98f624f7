"""A process run to its end, with what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10
"""Linux counts in kilobytes, macOS in bytes."""


@dataclass(frozen=True)
class Finished:
    """A process that has ended.

    Attributes:
        status: 0 where all went well.
        output: What it printed.
        errors: What it printed on stderr.
        seconds: From its start to its end.
        megabytes: The most memory that it held at a time; 0 where the system does not tell. A process begins with what
            the one that starts it holds, so that less than that cannot be seen.
    """

    status: int
    output: str
    errors: str
    seconds: float
    megabytes: float

    @property
    def problem(self) -> str:
        """The last line on stderr."""
        return (self.errors.strip().splitlines() or ["no answer"])[-1]


def run_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        environment: Variables of its environment; by default those of this process.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        megabytes = 0.0
        try:
            if hasattr(os, "wait4"):
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                megabytes = usage.ru_maxrss / MAXRSS_PER_MB
            else:
                process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - begin
        texts = []
        for stream in (output, errors):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return Finished(process.returncode, texts[0], texts[1], seconds, megabytes)
