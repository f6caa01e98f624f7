"""A 3000 x 3000 image: the window engine beside the same network run on the whole image, shrunk to the same grid.

Both run the same network of the same weights; what differs is what it gets to see. Objects are discs of three sizes on
a textured ground, each given by its tight box. The table gives medians of warm calls, from the prompt to the mask at
full resolution. The two ways take turns, so that a busy moment of the machine meets both, and the ratio is the median
over the turns. Peak memory is that of a process of its own for each way.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bedside.core.image import Image
from bedside.core.prompts import Box
from bedside.core.region import Region
from bedside.engines import load_segmenter
from bedside.imaging.intensity import normalise_window
from bedside.imaging.paint import paint_prompts
from bedside.imaging.window import Window
from bedside.runtime.backend import choose_backend
from bedside.weights.models import model_card
from bedside.weights.store import find_weights

SIDE = 3000
DISCS = {"small": (700, 900, 25), "medium": (1900, 800, 150), "large": (1600, 2100, 700)}
"""Centre (y, x) and radius of each object, in pixels."""
POOR = 0.5
"""DSC below which the engine has no border to refine, so that its times are not those of real use."""
WINDOW, WHOLE = "window", "whole"

Predict = Callable[[Box], tuple[NDArray[np.uint8], int]]
"""From a box to the mask of the whole image and the number of times the network ran."""


def disc(name: str) -> NDArray[np.bool_]:
    """The true mask of an object."""
    y, x, radius = DISCS[name]
    rows, columns = np.ogrid[:SIDE, :SIDE]
    inside: NDArray[np.bool_] = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    return inside


def tight_box(name: str) -> Box:
    """The box around an object, end exclusive."""
    y, x, radius = DISCS[name]
    return Box((x - radius + 1, y - radius + 1), (x + radius, y + radius))


def picture() -> NDArray[np.uint8]:
    """Brighter discs on a ground of smooth texture and noise, (y, x)."""
    from scipy import ndimage

    rng = np.random.default_rng(0)
    texture = ndimage.zoom(rng.normal(0, 10, (SIDE // 20, SIDE // 20)), 20, order=1)
    grey = 90 + texture + rng.normal(0, 8, (SIDE, SIDE))
    for name in DISCS:
        grey[disc(name)] += 45
    pixels: NDArray[np.uint8] = grey.clip(0, 255).astype(np.uint8)
    return pixels


def window_engine(model: str, image: Image) -> Predict:
    """The segmenter as everyone uses it."""
    segmenter = load_segmenter(model, "cpu")
    segmenter.set_image(image)

    def predict(box: Box) -> tuple[NDArray[np.uint8], int]:
        mask = np.zeros(image.shape, dtype=np.uint8)
        prediction = segmenter.predict([box])
        prediction.paste(mask)
        return mask, prediction.passes

    return predict


def whole_image(model: str, image: Image) -> Predict:
    """The same network with the whole image in its grid; the picture is shrunk once, before the first prompt."""
    card = model_card(model)
    grid = (card.grid,) * 2
    graph = choose_backend(device="cpu").load(find_weights(model), shape=(1, len(card.channels), *grid), device="cpu")
    window = Window((0.0, 0.0), (float(SIDE), float(SIDE)), grid)
    samples, inside = window.sample(image.array)
    colours = np.repeat(normalise_window(samples, inside), 3, axis=0)
    nothing = np.zeros((1, *grid), dtype=np.float32)

    def predict(box: Box) -> tuple[NDArray[np.uint8], int]:
        channels = np.concatenate([colours, nothing, paint_prompts([window.to_grid(box)], grid)])
        logits = graph.run({"input": channels[None]})["logits"][0, 0]
        return (window.expand(logits, Region.whole(image.shape)) > 0).astype(np.uint8), 1

    return predict


WAYS: dict[str, Callable[[str, Image], Predict]] = {WINDOW: window_engine, WHOLE: whole_image}


def peak_megabytes() -> float:
    """Peak resident memory of this process alone."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux a new process inherits there the peak of the one that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure_times(model: str, image: Image, repeats: int) -> dict[str, dict[str, Any]]:
    """Seconds, DSC and passes of each way by object, and the ratio of their times."""
    ways = {way: make(model, image) for way, make in WAYS.items()}
    results: dict[str, dict[str, Any]] = {}
    for name in DISCS:
        box, truth = tight_box(name), disc(name)
        row: dict[str, Any] = {}
        for way, predict in ways.items():
            # The first call is not counted; its mask is that of all.
            mask, passes = predict(box)
            overlap = 2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth))
            row[way] = {"passes": passes, "dsc": overlap, "seconds": []}
        for _ in range(repeats):
            for way, predict in ways.items():
                start = time.perf_counter()
                predict(box)
                row[way]["seconds"].append(time.perf_counter() - start)
        turns = zip(row[WINDOW]["seconds"], row[WHOLE]["seconds"], strict=True)
        results[name] = {**row, "ratio": statistics.median(a / b for a, b in turns)}
    return results


def measure_memory(way: str, model: str, pixels: Path) -> float:
    """Peak MB of a process that loads the model and the picture and answers each prompt once."""
    options = ["--memory-of", way, "--model", model, "--pixels", str(pixels)]
    output = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(output)


def report(results: dict[str, dict[str, Any]], memory: dict[str, float], model: str) -> None:
    """Print the table of both ways and the ratios between them."""
    table = Table(title=f"{model} on {SIDE} x {SIDE} pixels, box to mask, warm", title_justify="left")
    table.add_column("object", no_wrap=True)
    for way in WAYS:
        for column in ("ms", "passes", "DSC"):
            table.add_column(f"{way}\n{column}", justify="right")
    table.add_column("time\nratio", justify="right")
    for name, row in results.items():
        cells = []
        for way in WAYS:
            milliseconds = 1000 * statistics.median(row[way]["seconds"])
            cells += [f"{milliseconds:.1f}", str(row[way]["passes"]), f"{row[way]['dsc']:.3f}"]
        table.add_row(f"{name} (r {DISCS[name][2]})", *cells, f"{row['ratio']:.2f}")
    console = Console()
    console.print(table)
    ratio = memory[WINDOW] / memory[WHOLE]
    if min(row[WINDOW]["dsc"] for row in results.values()) < POOR:
        console.print("Some masks are poor: growing and refining hardly ran, so these times flatter the window engine.")
    console.print(f"Peak memory: window {memory[WINDOW]:.0f} MB, whole {memory[WHOLE]:.0f} MB, ratio {ratio:.2f}")


def main() -> None:
    """Measure both ways and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bedside-2d")
    parser.add_argument("--repeats", type=int, default=15, help="turns per object")
    parser.add_argument("--memory-of", choices=WAYS, help="answer each prompt once and print this process's peak MB")
    parser.add_argument("--pixels", type=Path, help="file of the picture, with --memory-of")
    options = parser.parse_args()
    if options.memory_of:
        predict = WAYS[options.memory_of](options.model, Image.from_array(np.load(options.pixels)))
        for name in DISCS:
            predict(tight_box(name))
        print(peak_megabytes())
        return
    image = Image.from_array(picture())
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder) / "picture.npy"
        np.save(pixels, image.array)
        memory = {way: measure_memory(way, options.model, pixels) for way in WAYS}
    report(measure_times(options.model, image, options.repeats), memory, options.model)


if __name__ == "__main__":
    main()
