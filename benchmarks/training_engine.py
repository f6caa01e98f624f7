"""Samples a second of training: drawn by the loader's workers, finished as batches where the network is trained.

Drawing is what one worker does: windows and first prompts, one sample after the other. Finishing is what the training
process does before the network predicts: appearance, noise and normalisation of a whole batch. A round predicts and
clicks once, without gradient. Steps are those of the recipe, with its rounds, by the trainer and its workers.
``--model bedside-3d`` measures volumes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bedside.data.store import Store
from bedside.engines.window.encodings import card_encoding
from bedside.engines.window.sampling.packed_table import PackedTable
from bedside.engines.window.training.rounds import Batch, assemble_input, play_rounds
from bedside.engines.window.training.task import WindowTask, make_sampler
from bedside.train.clicks import CellNoise
from bedside.train.config import TrainingConfig
from bedside.train.devices import DEVICES, resolve_device
from bedside.train.packing import open_store
from bedside.train.recipes import load_recipe
from bedside.train.trainer import Trainer
from bedside.weights.models import model_card

MODELS = ("bedside-2d", "bedside-3d")
GRIDS = {2: [64, 128], 3: [32, 64]}
"""By the network's dimensions: those of both stages of the recipe."""
BATCHES = {2: 16, 3: 4}
"""By the network's dimensions: those of the recipe."""
ENDLESS = 10**6
"""Steps, so that no validation and no checkpoint falls into the time that is measured."""
WARMUP, PROFILED = 3, 20
"""Steps."""
PARTS = ("drawing", "finishing", "both in one process", "a round", "whole steps")


@dataclass(frozen=True)
class Figures:
    """Of samples on one grid.

    Attributes:
        rates: Samples a second of each of ``PARTS``.
        waiting: Share of the time of whole steps in which the device has nothing to do; None on a CPU.
    """

    rates: tuple[float, ...]
    waiting: float | None


@dataclass(frozen=True)
class Measurement:
    """What is measured, and for how long.

    Attributes:
        store: To train on.
        device: Where.
        seconds: For each figure.
    """

    store: Store
    device: torch.device
    seconds: float

    def figures(self, config: TrainingConfig) -> Figures:
        """Return what is measured with the settings of a run."""
        sampler = make_sampler(self.store, config)
        turns = itertools.count()

        def draw() -> PackedTable:
            turn = next(turns)
            return PackedTable.pack(sampler.draw(range(turn * config.batch, (turn + 1) * config.batch)))

        drawn = draw()
        if self.device.type == "cuda":
            drawn = drawn.pin_memory()

        def finish() -> Batch:
            return sampler.finish(drawn.to(self.device, non_blocking=True).unpack())

        batch = finish()
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(config, self.store, Path(folder), self.device, report=lambda _: None)
            task, encoding = trainer.task, card_encoding(model_card(config.model))
            assert isinstance(task, WindowTask)
            inputs = assemble_input(batch, encoding)

            def play() -> None:
                noise = CellNoise(batch["key"], 1)
                play_rounds(trainer.average, inputs, batch, 1, task.precision.rounds, noise, encoding)

            calls: list[Callable[[], object]] = [draw, finish, play]
            with closing(trainer.steps()) as steps:
                whole = self._rate(lambda: next(steps), config.batch, WARMUP)
                waiting = waiting_share(steps) if self.device.type == "cuda" else None
            drawing, finishing, playing = (self._rate(call, config.batch) for call in calls)
        return Figures((drawing, finishing, 1 / (1 / drawing + 1 / finishing), playing, whole), waiting)

    def _rate(self, call: Callable[[], object], samples: int, warmup: int = 1) -> float:
        for _ in range(warmup):
            call()
        self._finish()
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < self.seconds:
            call()
            calls += 1
        self._finish()
        return calls * samples / (time.perf_counter() - began)

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _dimensions(config: TrainingConfig) -> int:
    return model_card(config.model).dimensions


def waiting_share(steps: Iterator[int]) -> float:
    """Share of the time of some steps in which no kernel and no copy runs; profiling itself adds to it."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        for _ in range(PROFILED):
            next(steps)
        torch.cuda.synchronize()
    kernels = [e.time_range for e in profile.events() if e.device_type.name == "CUDA"]
    return idle_share([(k.start, k.end) for k in kernels])


def idle_share(spans: Sequence[tuple[float, float]]) -> float:
    """Share of the time from the first span's start to the last one's end that no span covers; they may overlap."""
    ordered = sorted(spans)
    busy, until = 0.0, ordered[0][0]
    for start, end in ordered:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return 1 - busy / (until - ordered[0][0])


def print_table(config: TrainingConfig, device: torch.device, figures: Figures) -> None:
    """Of one grid."""
    cells = " x ".join([str(config.sampling.grid)] * _dimensions(config))
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    machine = f"{config.workers} workers, {threads}, {_device_name(device)}"
    table = Table(title=f"{config.model}, {cells}, batches of {config.batch}, {machine}", title_justify="left")
    table.add_column("part")
    table.add_column("samples a second", justify="right")
    for name, rate in zip(PARTS, figures.rates, strict=True):
        table.add_row(name, f"{rate:,.1f}")
    if figures.waiting is not None:
        table.add_row("time the device waits", f"{100 * figures.waiting:.0f} %")
    Console().print(table)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, or a packed store")
    parser.add_argument("--store", type=Path, help="where data sets are packed to; a temporary folder by default")
    parser.add_argument("--model", choices=MODELS, default="bedside-2d")
    parser.add_argument("--grids", type=int, nargs="+", help="cells along each side; those of the recipe by default")
    parser.add_argument(
        "--batch", type=int, help=f"samples of a step; {BATCHES[2]} images or {BATCHES[3]} volumes by default"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each figure")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--threads", type=int, help="of the training process; as torch chooses by default")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    device = resolve_device(given.device)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(given.data, given.store or Path(folder) / "store", print, keep=False)
    measurement = Measurement(store, device, given.seconds)
    recipe = load_recipe(given.model)
    assert isinstance(recipe, TrainingConfig)
    dimensions = _dimensions(recipe)
    settings = {"steps": ENDLESS, "validate_every": ENDLESS, "coarse_share": 0.0, "held_out": []}
    settings |= {"batch": given.batch or BATCHES[dimensions], "workers": given.workers}
    for grid in given.grids or GRIDS[dimensions]:
        config = recipe.with_overrides(settings | {"sampling.grid": grid})
        print_table(config, device, measurement.figures(config))


if __name__ == "__main__":
    main()
