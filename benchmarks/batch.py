"""Masks a minute: a loop over `bedside segment`, one process an image, against `bedside batch` on the same images.

Each disc has its own picture and box. Both begin with the same warm cache of compiled models; the masks are compared
byte by byte.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from rich.console import Console
from rich.table import Table

BEDSIDE = [sys.executable, "-m", "bedside"]


def write_pictures(folder: Path, count: int, side: int) -> dict[str, str]:
    """Write pictures with a disc amid noise; returns the box of each by its name."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:side, :side]
    boxes = {}
    for number in range(count):
        radius = int(rng.integers(side // 20, side // 6))
        cx, cy = (int(rng.integers(radius + 2, side - radius - 2)) for _ in range(2))
        disc = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        noisy = 80 + 60 * disc + rng.normal(0, 12, (side, side))
        Picture.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        boxes[f"{number}.png"] = f"{cx - radius},{cy - radius},{cx + radius + 1},{cy + radius + 1}"
    return boxes


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: It failed.
    """
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def timed(commands: list[list[str]], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of wall time and of processor time of commands that run one after another."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for command in commands:
        run(command, environment)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    parser.add_argument("--ray", action="store_true", help="also on Ray, on this machine")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        boxes = write_pictures(folder, given.images, given.side)
        cache = {"XDG_CACHE_HOME": str(folder / "cache")}
        with (folder / "manifest.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "box"), *boxes.items()])
        loop = [
            [*BEDSIDE, "segment", str(folder / p), "-o", str(folder / f"mask-{p}"), "--box", b]
            for p, b in boxes.items()
        ]
        ways = {"loop over bedside segment": loop}
        kinds = [[], ["--engine", "ray"]] if given.ray else [[]]
        for workers, kind in ((w, k) for w in given.workers or [None] for k in kinds):
            more = [*kind, *([] if workers is None else ["--workers", str(workers)])]
            label = " ".join(["bedside batch", *more])
            out = ["-o", str(folder / label.replace(" ", "-"))]
            ways[label] = [[*BEDSIDE, "batch", str(folder / "manifest.csv"), *out, *more]]
            # The cache has an entry for each number of threads.
            run([*ways[label][0], "--again"], cache)
        run(loop[0], cache)
        table = Table("", "seconds", "images a minute", "times the loop", "seconds of CPU")
        first = None
        for label, commands in ways.items():
            again = [[*command, "--again"] for command in commands] if label != next(iter(ways)) else commands
            wall, processor = timed(again, cache)
            first = first or wall
            rate = f"{given.images / wall * 60:.0f}"
            table.add_row(label, f"{wall:.1f}", rate, f"{first / wall:.2f}", f"{processor:.1f}")
        Console().print(table)
        differing = sum(
            (folder / f"mask-{p}").read_bytes() != (folder / label.replace(" ", "-") / p).read_bytes()
            for label in list(ways)[1:]
            for p in boxes
        )
        print(f"{differing} masks differ")


if __name__ == "__main__":
    main()
