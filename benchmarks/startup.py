"""How long a user waits before anything happens: imports, `bedside info`, and the first mask of a new process.

Each command runs several times in its own process, in turns, so that a busy moment of the machine meets all of them.
The table gives medians, and ratios to the bare interpreter, which carry over to other machines better than seconds.
The cache is that of compiled models.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from rich.console import Console
from rich.table import Table

MAXRSS_PER_MB = 2**20 if sys.platform == "darwin" else 2**10
"""Linux counts in kilobytes, macOS in bytes."""
BEDSIDE = [str(Path(sys.executable).with_name("bedside"))]


@dataclass
class Command:
    """One line of the table."""

    name: str
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    fresh_cache: bool = False
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


def write_picture(path: Path, side: int = 512) -> str:
    """Write a grey picture with a bright disc amid noise; returns the tight box of the disc as the option takes it."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:side, :side]
    disc = (y - 300) ** 2 + (x - 200) ** 2 < 60**2
    Picture.fromarray((80 + 60 * disc + rng.normal(0, 12, (side, side))).clip(0, 255).astype(np.uint8)).save(path)
    return "140,240,261,361"


def commands(folder: Path) -> list[Command]:
    """What is measured; ``folder`` takes the picture, the mask and the caches."""
    box = write_picture(folder / "picture.png")
    segment = [*BEDSIDE, "segment", str(folder / "picture.png"), "-o", str(folder / "mask.png"), "--box", box]
    warm = {"XDG_CACHE_HOME": str(folder / "warm")}
    return [
        Command("python -c pass", [sys.executable, "-c", "pass"]),
        Command("import numpy", [sys.executable, "-c", "import numpy"]),
        Command("import bedside", [sys.executable, "-c", "import bedside"]),
        Command("bedside --help", [*BEDSIDE, "--help"]),
        Command("bedside info", [*BEDSIDE, "info"]),
        Command("first mask, empty cache", segment, fresh_cache=True),
        Command("first mask, warm cache", segment, warm),
    ]


def run(command: Command) -> tuple[float, float]:
    """Seconds of wall time and peak MB of one process that runs ``command``.

    Raises:
        RuntimeError: The process failed.
    """
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryFile() as errors:
        cache = {"XDG_CACHE_HOME": empty} if command.fresh_cache else {}
        environment = {**os.environ, **command.environment, **cache}
        start = time.perf_counter()
        process = subprocess.Popen(command.arguments, stdout=subprocess.DEVNULL, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(f"{command.name}: {errors.read().decode(errors='replace').strip()}")
    return seconds, usage.ru_maxrss / MAXRSS_PER_MB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="times that each command runs")
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as name:
        measured = commands(Path(name))
        # Once outside the count: files come from the disk's cache afterwards, and the warm cache is filled.
        for command in measured:
            run(command)
        for _ in range(repeats):
            for command in measured:
                seconds, megabytes = run(command)
                command.seconds.append(seconds)
                command.megabytes.append(megabytes)
    bare = statistics.median(measured[0].seconds)
    # A new process inherits the peak of the one that started it, so that less than this one's cannot be seen.
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MAXRSS_PER_MB
    table = Table(title=f"Start-up, median of {repeats} processes on {os.cpu_count()} cores", title_justify="left")
    table.add_column("command")
    for column in ("seconds", "fastest", "x bare Python", "peak MB"):
        table.add_column(column, justify="right")
    for command in measured:
        median = statistics.median(command.seconds)
        peak = max(command.megabytes)
        memory = f"{peak:.0f}" if peak > 1.1 * floor else f"< {1.1 * floor:.0f}"
        table.add_row(command.name, f"{median:.3f}", f"{min(command.seconds):.3f}", f"{median / bare:.1f}", memory)
    Console().print(table)


if __name__ == "__main__":
    main()
