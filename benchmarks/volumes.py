"""A 512 x 512 x 300 volume: seconds from prompt to mask and peak memory, bedside-3d beside nnInteractive's network.

The volume is a phantom of CT numbers: a body with a large organ, a kidney-sized one and a lesion of 12 mm. Each model
runs in a process of its own, one after the other on the same machine, by the same runtime (OpenVINO, which chooses
bf16 where the processor has it). nnInteractive's network has random weights, which costs the same time as trained
ones; it gets one click and one window, without zooming out or refining, its cheapest answer, while bedside-3d's
figures are those of whole answers through a session, search, growth and refinement included.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.prompts import Point
from bedside.session import Session

SHAPE = (300, 512, 512)
SPACING = (0.8, 0.8, 1.5)
ELLIPSOIDS = {
    # Centre and radii (z, y, x) in voxels, CT number.
    "organ": ((150, 230, 180), (60, 80, 90), 110),
    "kidney": ((120, 340, 330), (35, 30, 35), 160),
    "lesion": ((190, 200, 360), (4, 8, 8), 120),
}
CLICK = (330.0, 340.0, 120.0)
ROWS = 2**20 if sys.platform == "darwin" else 2**10
"""Linux counts memory in kilobytes, macOS in bytes."""


def ellipsoid(name: str) -> NDArray[np.bool_]:
    """The true mask of a structure."""
    centre, radii, _ = ELLIPSOIDS[name]
    axes = [((np.arange(n) - c) / r) ** 2 for n, c, r in zip(SHAPE, centre, radii, strict=True)]
    inside: NDArray[np.bool_] = axes[0][:, None, None] + axes[1][:, None] + axes[2] <= 1
    return inside


def phantom() -> Image:
    """The volume, int16."""
    generator = np.random.default_rng(0)
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    body = ((y - 256) / 190) ** 2 + ((x - 256) / 230) ** 2 < 1
    volume = np.broadcast_to(np.where(body, 40, -1000), SHAPE).astype(np.int16)
    for name, (_, _, value) in ELLIPSOIDS.items():
        volume[ellipsoid(name)] = value
    for slab in np.array_split(volume, 20):
        np.add(slab, generator.normal(0, 18, slab.shape).astype(np.int16), out=slab)
    return Image(volume, Geometry.create(SHAPE, SPACING), modality="CT")


def dsc(session: Session, name: str) -> float:
    """Overlap of the current object with a structure."""
    mask, truth = session.mask != 0, ellipsoid(name)
    return float(2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth)))


def measure_bedside(model: str) -> dict[str, object]:
    """Seconds of each prompt through a session, first answers and corrections."""
    image = phantom()
    session = Session(image, model=model)
    session.add_box((295, 310, 85), (366, 371, 156))
    timings: dict[str, float] = {}
    quality: dict[str, float] = {}

    def timed(name: str, act: Callable[[], object]) -> None:
        begin = time.perf_counter()
        act()
        timings[name] = time.perf_counter() - begin

    for name, (centre, radii, _) in ELLIPSOIDS.items():
        low = tuple(float(c - r) for c, r in zip(centre, radii, strict=True))[::-1]
        high = tuple(float(c + r + 1) for c, r in zip(centre, radii, strict=True))[::-1]
        middle = tuple(map(float, centre[::-1]))
        session.add_object(f"{name} by box")
        timed(f"{name}: box", lambda low=low, high=high: session.add_box(low, high))  # type: ignore[misc]
        quality[f"{name}: box"] = dsc(session, name)
        timed(f"{name}: correction", lambda at=middle: session.add_point(at))  # type: ignore[misc]
        session.add_object(f"{name} by click")
        timed(f"{name}: click", lambda at=middle: session.add_point(at))  # type: ignore[misc]
        quality[f"{name}: click"] = dsc(session, name)
        edge = (middle[0] + 0.8 * radii[2], middle[1], middle[2])
        timed(f"{name}: second click", lambda at=edge: session.add_point(at))  # type: ignore[misc]
        quality[f"{name}: second click"] = dsc(session, name)
    return {"seconds": timings, "dsc": quality}


def measure_nninteractive(repeats: int) -> dict[str, object]:
    """Seconds of one click in one window of 192 cubed by nnInteractive's network with random weights."""
    import torch

    from bedside.engines import load_segmenter
    from bedside.engines.nninteractive.network import DEPTHS, WIDTHS, NNInteractive
    from bedside.runtime.export import export_weights
    from bedside.weights.card import WeightsCard

    image = phantom()
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        training = {"interactions": {}, "patch": 192}
        card = WeightsCard("nninteractive", "0", "", "CC-BY-NC-SA-4.0", "random weights", training=training)
        files = export_weights(NNInteractive(WIDTHS, DEPTHS), Path(folder), card, grid=64)
        segmenter = load_segmenter("nninteractive", window="adaptive-crop", weights=files)
        segmenter.set_image(image)
        seconds = []
        for _ in range(repeats):
            begin = time.perf_counter()
            prediction = segmenter.predict([Point(CLICK)])
            seconds.append((time.perf_counter() - begin) / prediction.passes)
    return {"seconds": {"one window": statistics.median(seconds)}, "dsc": {}}


def in_process(arguments: list[str]) -> dict[str, object]:
    """The JSON that this script prints in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(ours: dict[str, object], theirs: dict[str, object] | None, model: str) -> Table:
    """The table."""
    table = Table(title=f"{SHAPE[2]} x {SHAPE[1]} x {SHAPE[0]} int16, a phantom")
    for column in ("answer", "seconds", "DSC", "nnInteractive's one window takes"):
        table.add_column(column, justify="left" if column == "answer" else "right")
    seconds, quality = ours["seconds"], ours["dsc"]
    assert isinstance(seconds, dict)
    assert isinstance(quality, dict)
    window = theirs["seconds"]["one window"] if theirs else None  # type: ignore[index]
    for name, value in seconds.items():
        overlap = f"{quality[name]:.3f}" if name in quality else ""
        table.add_row(name, f"{value:.3f}", overlap, f"{window / value:.0f} times as long" if window else "")
    table.add_section()
    table.add_row(f"peak memory, {model}", f"{ours['peak_mb']:.0f} MB")
    if theirs:
        table.add_row("nnInteractive's network, one window", f"{window:.2f}")
        table.add_row("peak memory, nnInteractive's network", f"{theirs['peak_mb']:.0f} MB")
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bedside-3d")
    parser.add_argument("--without-nninteractive", action="store_true", help="needs no torch, and a minute less")
    parser.add_argument("--repeats", type=int, default=2, help="windows of nnInteractive's network")
    parser.add_argument("--only", choices=("bedside", "nninteractive"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        ours = options.only == "bedside"
        found = measure_bedside(options.model) if ours else measure_nninteractive(options.repeats)
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / ROWS
        print(json.dumps(found))
        return
    ours_found = in_process(["--only", "bedside", "--model", options.model])
    theirs = (
        None
        if options.without_nninteractive
        else in_process(["--only", "nninteractive", "--repeats", str(options.repeats)])
    )
    Console().print(report(ours_found, theirs, options.model))


if __name__ == "__main__":
    main()
