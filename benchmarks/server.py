"""How long the page waits for `bedside ui`: the first answers of a new process, a CT's opening, and every click on it.

The server runs in a process of its own and is asked as a browser asks it. The volume is drawn by a formula, of the size
of a chest CT. The medians hold for this machine as busy as it is now; the line on the bare interpreter tells how much.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from websockets.sync.client import connect

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import write_image

TOKEN = "the-token-of-the-benchmark"


def write_volume(path: Path, shape: tuple[int, int, int]) -> list[list[int]]:
    """Write a CT-like volume of bright balls in noise; returns their centres (x, y, z)."""
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 60, [max(2, n // 8) for n in shape]).astype(np.float32)
    array = ndimage.zoom(coarse, [n / c for n, c in zip(shape, coarse.shape, strict=True)], order=1)
    array += rng.normal(0, 15, shape).astype(np.float32)
    centres = []
    for _ in range(24):
        centre = [int(rng.integers(n // 6, n - n // 6)) for n in shape]
        radius = int(rng.integers(8, 30))
        box = tuple(slice(max(0, c - radius), c + radius + 1) for c in centre)
        grid = np.ogrid[box]
        inside = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2
        array[box][inside] += 300
        centres.append(centre[::-1])
    write_image(path, Image(array.astype(np.int16), Geometry.create(shape, (0.7, 0.7, 1.0)), modality="CT"))
    return centres


class Server:
    """A ``bedside ui`` in a process of its own."""

    def __init__(self, folder: Path, *paths: Path) -> None:
        command = [sys.executable, "-m", "bedside.cli.main", "ui", "--no-browser", "--port", "0", *map(str, paths)]
        environment = {**os.environ, "BEDSIDE_TOKEN": TOKEN, "BEDSIDE_WORKSPACE": str(folder / "w.sqlite")}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().split()[-1].split("?")[0]

    def ask(self, path: str, method: str = "GET", body: Any = None) -> bytes:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.url + path, data, headers, method=method)) as answer:
            content: bytes = answer.read()
        return content

    def peak_megabytes(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return float("nan")

    def stop(self) -> float:
        began = time.perf_counter()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        return time.perf_counter() - began


def start_up(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds from the command to its first answers, in several new processes."""
    found: dict[str, list[float]] = {"bare interpreter": [], "address": [], "page": [], "API": [], "stop": []}
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        found["bare interpreter"].append(time.perf_counter() - began)
        server = Server(folder)
        found["address"].append(time.perf_counter() - server.began)
        server.ask("")
        found["page"].append(time.perf_counter() - server.began)
        server.ask("api/state")
        found["API"].append(time.perf_counter() - server.began)
        found["stop"].append(server.stop())
    return found


def clicks(server: Server, image: int, centres: list[list[int]], count: int) -> dict[str, list[float]]:
    """Seconds of each click over the WebSocket: by the server's stages, and all until the mask is unpacked here."""
    found: dict[str, list[float]] = {}
    address = server.url.replace("http", "ws") + f"api/images/{image}/ws"
    with connect(address, additional_headers={"Authorization": f"Bearer {TOKEN}"}, max_size=None) as socket:
        socket.recv()
        for number in range(count):
            if number % 2 == 0:
                # Two clicks for each ball, which is an object of its own.
                server.ask(f"api/images/{image}/objects", "POST", {})
                socket.recv()
            centre = centres[number // 2 % len(centres)]
            began = time.perf_counter()
            prompt = {"kind": "point", "position": [c + 3 * (number % 2) for c in centre]}
            socket.send(json.dumps({"type": "prompt", "request": str(number), "prompt": prompt}))
            while (message := json.loads(socket.recv()))["type"] != "answer":
                pass
            patch = message["change"]["patch"]
            if patch is not None:
                zlib.decompress(base64.b64decode(patch["labels"]))
            stages = {**message["change"]["seconds"], "whole click": time.perf_counter() - began}
            for stage, seconds in stages.items():
                found.setdefault(stage, []).append(seconds)
    return found


def brush_strokes(server: Server, image: int, centres: list[list[int]], count: int) -> list[float]:
    """Seconds of strokes of 40 x 40 voxels on one slice."""
    found = []
    bits = base64.b64encode(zlib.compress(np.packbits(np.ones((40, 40), np.uint8)).tobytes())).decode()
    server.ask(f"api/images/{image}/objects", "POST", {})
    x, y, z = centres[0]
    for number in range(count):
        z += number % 2
        box = {"start": [z, y - 20, x - 20], "stop": [z + 1, y + 20, x + 20]}
        began = time.perf_counter()
        server.ask(f"api/images/{image}/brush", "POST", {"box": box, "bits": bits})
        found.append(time.perf_counter() - began)
    return found


def show(title: str, rows: dict[str, list[float]]) -> None:
    """Print medians and the slowest of twenty."""
    table = Table(title=title)
    for heading in ("", "median s", "p95 s", "n"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, values in rows.items():
        p95 = sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
        table.add_row(name, f"{statistics.median(values):.3f}", f"{p95:.3f}", str(len(values)))
    Console().print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", type=int, nargs=3, default=(300, 512, 512), metavar=("Z", "Y", "X"))
    parser.add_argument("--rounds", type=int, default=5, help="new processes")
    parser.add_argument("--clicks", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show("from the command to its first answers", start_up(folder, options.rounds))
        centres = write_volume(folder / "ct.nii", tuple(options.shape))
        server = Server(folder, folder / "ct.nii")
        first = json.loads(server.ask("api/state"))["first"]
        seconds = {"API": [time.perf_counter() - server.began]}
        began = time.perf_counter()
        opened = json.loads(server.ask(f"api/worklist/{first}/open", "POST"))
        seconds["open"] = [time.perf_counter() - began]
        seconds |= {f"open: {stage}": [value] for stage, value in opened["seconds"].items()}
        began = time.perf_counter()
        size = len(server.ask(f"api/images/{opened['image']}/image.nii"))
        seconds["voxels sent"] = [time.perf_counter() - began]
        show(f"a volume of {size / 2**20:.0f} MiB, uncompressed NIfTI", seconds)
        show("clicks on it", clicks(server, opened["image"], centres, options.clicks))
        show("brush", {"stroke": brush_strokes(server, opened["image"], centres, 20)})
        Console().print(f"peak memory of the server: {server.peak_megabytes():.0f} MiB")
        server.stop()


if __name__ == "__main__":
    main()
