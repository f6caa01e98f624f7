"""How a server bears many at once, and long work: 8 clients for 90 s on pictures and volumes, 500 prompts, 200 objects.

The server runs in a process of its own, with the bundled models. Each client has a WebSocket to one of the images, of
which there are fewer than clients, clicks, corrects, paints, undoes and stops, and waits for each answer. Memory is the
server's, first after every image was opened and answered once. Numbers hold for this machine as busy as it is now.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import statistics
import sys
import tempfile
import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parent))
from server import TOKEN, Server

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import write_image

SHAPES: tuple[tuple[int, ...], ...] = ((300, 400), (500, 500), (40, 128, 128), (60, 160, 160))


@dataclass
class Seen:
    """What the clients saw: seconds by kind of request, and errors."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, seconds: float) -> None:
        with self.guard:
            self.seconds.setdefault(kind, []).append(seconds)


def write_images(folder: Path) -> list[Path]:
    """Write images with one bright box each, in noise."""
    paths = []
    for number, shape in enumerate(SHAPES):
        array = np.random.default_rng(number).normal(60, 10, shape)
        array[tuple(slice(n // 4, 3 * n // 4) for n in shape)] += 90
        path = folder / (f"image{number}.png" if len(shape) == 2 else f"image{number}.nii.gz")
        dtype = np.uint8 if len(shape) == 2 else np.int16
        write_image(path, Image(array.clip(0, 255).astype(dtype), Geometry.create(shape)))
        paths.append(path)
    return paths


class Client:
    """One client of one image.

    Args:
        server: The server.
        image: Number of its image.
        shape: Of the image.
        random: Chooses.
        seen: Takes what it sees.
    """

    def __init__(self, server: Server, image: int, shape: tuple[int, ...], random: Random, seen: Seen) -> None:
        self.server, self.image, self.shape, self.random, self.seen = server, image, shape, random, seen
        self.object = int(json.loads(server.ask(f"api/images/{image}/objects", "POST", {}))["object"])
        self.count = 0
        address = server.url.replace("http", "ws") + f"api/images/{image}/ws"
        self.open = contextlib.ExitStack()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.socket = self.open.enter_context(connect(address, additional_headers=headers, max_size=None))
        self.socket.recv()

    def work(self, until: float) -> None:
        """Ask one after the other."""
        while time.monotonic() < until:
            kind = self.random.choices(("click", "brush", "undo", "stopped"), (12, 3, 2, 1))[0]
            try:
                getattr(self, kind)()
            except Exception as error:
                self.seen.errors.append(f"{kind}: {type(error).__name__}: {error}")
                return

    def click(self) -> None:
        """A click in the object."""
        self._ask("click", {"type": "prompt", "prompt": {"kind": "point", "position": self.place()}})

    def stopped(self) -> None:
        """A click that is stopped at once: answered or taken back."""
        asked = {"type": "prompt", "prompt": {"kind": "point", "position": self.place()}}
        self._ask("stopped click", asked, stop=True)

    def undo(self) -> None:
        """Undo, which may be rejected where there is nothing left."""
        self._ask("undo", {"type": "undo"})

    def brush(self) -> None:
        """A stroke of 8 voxels a side on one slice."""
        start = [int(n // 2 + self.random.randint(-n // 5, n // 5)) for n in self.shape]
        stop = [s + (1 if len(self.shape) == 3 and axis == 0 else 8) for axis, s in enumerate(start)]
        size = int(np.prod([b - a for a, b in zip(start, stop, strict=True)]))
        bits = base64.b64encode(zlib.compress(np.packbits(np.ones(size, np.uint8)).tobytes())).decode()
        self._ask("brush", {"type": "brush", "box": {"start": start, "stop": stop}, "bits": bits})

    def place(self) -> list[float]:
        """A place in the bright box, (x, y[, z])."""
        return [self.random.uniform(n / 4 + 1, 3 * n / 4 - 1) for n in self.shape[::-1]]

    def _ask(self, kind: str, message: dict[str, Any], stop: bool = False) -> None:
        self.count += 1
        name, began = str(self.count), time.perf_counter()
        self.socket.send(json.dumps({**message, "request": name, "object": self.object}))
        if stop:
            self.socket.send(json.dumps({"type": "cancel", "request": name}))
        while True:
            answer = json.loads(self.socket.recv(timeout=120))
            if answer.get("request") == name and answer["type"] in ("answer", "superseded", "cancelled"):
                break
            if answer["type"] == "error":
                if kind == "undo":
                    return
                raise RuntimeError(answer["problem"]["message"])
        self.seen.add(kind, time.perf_counter() - began)


def memory(server: Server) -> float:
    """Return the server's memory now, in MiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def many_clients(folder: Path, clients: int, seconds: float, console: Console) -> None:
    """Let clients work at the same time."""
    paths = write_images(folder)
    server = Server(folder)
    with contextlib.closing(_Stopping(server)):
        images = [int(json.loads(server.ask("api/images", "POST", {"path": str(path)}))["image"]) for path in paths]
        seen = Seen()
        made = [Client(server, images[n % 4], SHAPES[n % 4], Random(n), seen) for n in range(clients)]
        for client in made[:4]:
            client.click()
        first = memory(server)
        seen.seconds.clear()
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=client.work, args=(until,)) for client in made]
        for thread in threads:
            thread.start()
        middle = 0.0
        for thread in threads:
            thread.join(max(0.0, until - seconds / 2 - time.monotonic()))
        middle = memory(server)
        for thread in threads:
            thread.join()
        last = memory(server)
        for client in made:
            client.open.close()
    table = Table("request", "count", "p50, ms", "p95, ms", "longest, ms", title=f"{clients} clients for {seconds:g} s")
    every = [s for values in seen.seconds.values() for s in values]
    for kind, values in [*sorted(seen.seconds.items()), ("all", every)]:
        ordered = sorted(values)
        numbers = (statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))], ordered[-1])
        table.add_row(kind, str(len(ordered)), *(f"{1000 * n:.0f}" for n in numbers))
    console.print(table)
    console.print(f"errors {len(seen.errors)}; memory {first:.0f} MiB first, {middle:.0f} half way, {last:.0f} last")
    for error in sorted(set(seen.errors))[:10]:
        console.print(error)


def long_work(folder: Path, prompts: int, objects: int, console: Console) -> None:
    """Click many times on one object, and begin many objects; tells the median time by the part of the way."""
    path = write_images(folder)[0]
    server = Server(folder)
    with contextlib.closing(_Stopping(server)):
        image = int(json.loads(server.ask("api/images", "POST", {"path": str(path)}))["image"])
        seen = Seen()
        client = Client(server, image, SHAPES[0], Random(0), seen)
        client.click()
        table = Table("what", "first fifth, ms", "last fifth, ms", "memory first, MiB", "last", title="long work")
        for what, count in (("prompts of one object", prompts), ("objects, one prompt each", objects)):
            seen.seconds.clear()
            first = memory(server)
            for _ in range(count):
                if what.startswith("objects"):
                    client.object = int(json.loads(server.ask(f"api/images/{image}/objects", "POST", {}))["object"])
                client.click()
            values, fifth = seen.seconds["click"], max(1, count // 5)
            parts = (statistics.median(values[:fifth]), statistics.median(values[-fifth:]))
            numbers = [f"{1000 * part:.0f}" for part in parts]
            table.add_row(f"{count} {what}", *numbers, f"{first:.0f}", f"{memory(server):.0f}")
        client.open.close()
        console.print(table)


class _Stopping:
    def __init__(self, server: Server) -> None:
        self._server = server

    def close(self) -> None:
        self._server.stop()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--objects", type=int, default=200)
    given = parser.parse_args()
    console = Console(width=110)
    with tempfile.TemporaryDirectory() as folder:
        many_clients(Path(folder), given.clients, given.seconds, console)
    with tempfile.TemporaryDirectory() as folder:
        long_work(Path(folder), given.prompts, given.objects, console)


if __name__ == "__main__":
    main()
