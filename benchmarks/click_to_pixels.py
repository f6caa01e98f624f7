"""The page of ``bedside ui`` on a CT-sized volume: from the click to the painted mask, and from the start to the image.

A synthetic volume of 512 x 512 x 300 voxels (int16) is opened in a real browser that renders in software. A click
begins an object and a second one beside it corrects the mask, object after object. The page notes when each step was
done: the pointer went up, the request was sent, the answer came, its labels were in place, the screen showed them. The
server tells its own part in the answer. Medians and 95th percentiles are printed, without those of the first object,
with the load of the page from a server that was started for it, and the size of the scripts.

It needs Chromium, the package playwright, and the page (``make ui``).
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

SHAPE = (300, 512, 512)
TOKEN = "token-of-the-benchmark-of-the-page"
# As browsers do where there is no graphics card: WebGL by SwiftShader, the page itself put together without it.
FLAGS = ("--no-sandbox", "--enable-unsafe-swiftshader", "--disable-gpu-compositing", "--disable-gpu-rasterization")
CENTRE, RADII = (184, 230, 165), (66, 77, 66)
"""Of the organ that is segmented, (x, y, z) in voxels."""
PATIENCE = 120.0
STEPS = ("gesture", "sent", "received", "decoded", "painted")


def volume() -> NDArray[np.int16]:
    """A body with an organ in it, HU (z, y, x)."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    body = ((x - 256) / 225) ** 2 + ((y - 256) / 185) ** 2 < 1
    noise = rng.integers(-20, 20, SHAPE[1:], dtype=np.int16)
    result = np.empty(SHAPE, dtype=np.int16)
    for z in range(SHAPE[0]):
        across = ((x - CENTRE[0]) / RADII[0]) ** 2 + ((y - CENTRE[1]) / RADII[1]) ** 2
        organ = across + ((z - CENTRE[2]) / RADII[2]) ** 2 < 1
        result[z] = np.where(organ, 130, np.where(body, 40, -1000)) + np.roll(noise, 13 * z, axis=1)
    return result


class Bench:
    """A server and a browser, and the clicks between them."""

    def __init__(self, folder: Path, scan: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        command = [str(Path(sys.executable).parent / "bedside"), "ui", "--no-browser", "--port", str(self.port)]
        command += ["--workspace", str(folder / "workspace.sqlite"), str(scan)]
        self.started = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "BEDSIDE_TOKEN": TOKEN})

    def wait_for_server(self) -> float:
        """Seconds from the start of the command until the page can be fetched."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.perf_counter() - self.started < PATIENCE:
            try:
                opener.open(f"http://127.0.0.1:{self.port}/").read()
                return time.perf_counter() - self.started
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.01)
        raise SystemExit("the server did not start")

    def load(self, page: Any) -> float:
        """Seconds from the address to slices on the screen that can be clicked on."""
        page.goto(f"http://127.0.0.1:{self.port}/?token={TOKEN}")
        wait(page, "performance.getEntriesByName('bedside:image').length > 0")
        return float(page.evaluate("performance.getEntriesByName('bedside:image')[0].startTime")) / 1000

    def clicks(self, page: Any, count: int) -> list[dict[str, Any]]:
        """Objects of two clicks each; the page's notes of all clicks but those of the first object."""
        page.keyboard.press("p")
        rng = np.random.default_rng(1)
        done = 0
        for number in range(count + 1):
            page.keyboard.press("n")
            wait(page, f"bedside.store.get().objects.length > {number}")
            place = [c + r * a for c, r, a in zip(CENTRE, RADII, rng.uniform(-0.4, 0.4, 3), strict=True)]
            for shift in (0, 12):
                index = [round(place[0] + shift), round(place[1] + shift), round(place[2])]
                page.evaluate("index => bedside.actions.goTo(index)", index)
                # A person moves the hand between clicks, and the rendering has its turn.
                page.wait_for_timeout(1500)
                page.mouse.click(*spot(page, "axial", index))
                done = settled(page, done)
        timings: list[dict[str, Any]] = page.evaluate("bedside.actions.timings.done")
        return timings[2:]


def spot(page: Any, view: str, index: list[float]) -> tuple[float, float]:
    """Where a voxel is on the screen."""
    place = page.evaluate("([view, index]) => bedside.views.planes[view].pageOf(index)", [view, index])
    return place["x"], place["y"]


def wait(page: Any, expression: str) -> None:
    """Until an expression of the page is true."""
    end = time.perf_counter() + PATIENCE
    while not page.evaluate(f"Boolean({expression})"):
        if time.perf_counter() > end:
            raise SystemExit(f"waited {PATIENCE:g} s for {expression}")
        time.sleep(0.01)


def settled(page: Any, done: int) -> int:
    """Until one more answer is on the screen; how many there are then."""
    wait(page, f"bedside.actions.timings.done.length > {done}")
    return int(page.evaluate("bedside.actions.timings.done.length"))


def parts(timing: dict[str, Any]) -> dict[str, float]:
    """Milliseconds by stage of one click."""
    at = {step: float(timing[step]) for step in STEPS}
    server = {name: 1000 * float(seconds) for name, seconds in timing["server"].items()}
    # What the session took holds what the model took.
    model = sum(server.get(name, 0.0) for name in ("window", "network", "paste"))
    whole = server.get("session", model) + sum(server.get(name, 0.0) for name in ("queue", "save", "encode"))
    return {
        "click to pixels": at["painted"] - at["gesture"],
        "page: gesture to request": at["sent"] - at["gesture"],
        "server: wait": server.get("queue", 0.0),
        "server: window": server.get("window", 0.0),
        "server: network": server.get("network", 0.0),
        "server: paste and session": server.get("session", model) - model + server.get("paste", 0.0),
        "server: save": server.get("save", 0.0),
        "server: encode": server.get("encode", 0.0),
        "transfer": at["received"] - at["sent"] - whole,
        "page: decode": at["decoded"] - at["received"],
        "page: paint": at["painted"] - at["decoded"],
        "bytes of the answer": float(timing["bytes"]),
    }


def table(clicks: list[dict[str, Any]]) -> Table:
    """Median and 95th percentile of each stage, of the click that begins an object and of the one that corrects it."""
    kinds = [[parts(timing) for timing in clicks[first::2]] for first in (0, 1)]
    title = f"{len(kinds[0])} objects, two clicks each, ms (bytes in the last row)"
    result = Table("stage", "first click", "95 %", "second", "95 %", title=title)
    for name in kinds[0][0]:
        columns = [[row[name] for row in rows] for rows in kinds]
        cells = [(statistics.median(values), np.percentile(values, 95)) for values in columns]
        result.add_row(name, *[f"{value:.0f}" for pair in cells for value in pair])
    return result


def summary(clicks: list[dict[str, Any]], start: float, cold: float) -> str:
    """The table of docs/ui.md, in Markdown."""
    first, second = ([parts(timing) for timing in clicks[kind::2]] for kind in (0, 1))
    around = ("server: encode", "transfer", "page: decode", "page: paint")

    def row(what: str, milliseconds: list[float]) -> str:
        median, high = statistics.median(milliseconds) / 1000, np.percentile(milliseconds, 95) / 1000
        return f"| {what} | {median:.2f} s | {high:.2f} s |"

    return "\n".join(
        (
            "| | median | 95 % |",
            "|---|---|---|",
            row("first click, mouse up to painted mask", [c["click to pixels"] for c in first]),
            row("of that: the network, which tries windows of several sizes", [c["server: network"] for c in first]),
            row("correction, mouse up to painted mask", [c["click to pixels"] for c in second]),
            row("of that: encoding, transfer, decoding and painting", [sum(c[n] for n in around) for c in second]),
            f"| start of the command to the first answer | {start:.2f} s | |",
            f"| cold server to an interactive image | {start + cold:.2f} s | |",
        )
    )


def bundle() -> str:
    """Sizes of the scripts that the page loads first and later."""
    import bedside.serve

    lines = []
    for script in sorted((Path(bedside.serve.__file__).parent / "page/assets").glob("*.js")):
        content = script.read_bytes()
        lines.append(f"  {script.name}: {len(content) / 1000:.0f} kB, gzip {len(gzip.compress(content)) / 1000:.0f} kB")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--objects", type=int, default=15)
    parser.add_argument("--scan", type=Path, help="a volume of one's own instead of the synthetic one")
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("there is no Chromium; on Debian and Ubuntu install the package chromium")
    from playwright.sync_api import sync_playwright

    console = Console()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        scan = arguments.scan or Path(name) / "scan.nii"
        if arguments.scan is None:
            nibabel.save(nibabel.Nifti1Image(volume().transpose(2, 1, 0), np.diag([-0.8, -0.8, 1.25, 1])), scan)
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        cores = os.cpu_count() or 1
        console.print(f"{cores} cores, load before the start {os.getloadavg()[0]:.1f}")
        bench = Bench(Path(name), scan)
        try:
            start = bench.wait_for_server()
            console.print(f"start of the command to the first answer: {start:.2f} s")
            cold = bench.load(page)
            console.print(f"cold page to an interactive image:        {cold:.2f} s")
            page.wait_for_timeout(8000)
            clicks = bench.clicks(page, arguments.objects)
            console.print(table(clicks))
            console.print("The table of docs/ui.md:\n")
            print(summary(clicks, start, cold))
        finally:
            bench.process.terminate()
            bench.process.wait(timeout=30)
            browser.close()
    console.print(f"scripts (the first is loaded at once, NiiVue later):\n{bundle()}")


if __name__ == "__main__":
    main()
