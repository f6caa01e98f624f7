"""Samples a second of training: made in batches on the device, beside one by one in the loader's workers.

Drawing is what one worker does: records for the device, or whole samples. Applying is what the training process does
before the network answers: samples made of records, or samples sent to the device. A round answers and clicks once,
without gradient. Steps are those of the recipe, with its rounds, by the trainer and its workers. Both ways run in turn
on the same machine. ``--model bedside-3d`` measures volumes, on both sides without the shapes that are put into images,
which the device does not make there.
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

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bedside.data.store import Store
from bedside.engines.window.encodings import card_encoding
from bedside.engines.window.sampling.device.packed_table import PackedTable
from bedside.engines.window.training.rounds import Batch, assemble_input, play_rounds
from bedside.engines.window.training.task import ENGINES, SAMPLERS
from bedside.train.clicks import CellNoise, Randomness
from bedside.train.config import TrainingConfig
from bedside.train.devices import DEVICES, resolve_device
from bedside.train.packing import open_store
from bedside.train.recipes import load_recipe
from bedside.train.trainer import Trainer
from bedside.weights.models import model_card

MODELS: dict[str, dict[str, float]] = {"bedside-2d": {}, "bedside-3d": {"sampling.inserted_share": 0.0}}
"""Settings other than those of the recipe, on both sides."""
GRIDS = {2: [64, 128], 3: [32, 64]}
"""By the network's dimensions: those of both stages of the recipe."""
BATCHES = {2: 64, 3: 16}
ENDLESS = 10**6
"""Steps, so that no validation and no checkpoint falls into the time that is measured."""
WARMUP, PROFILED = 3, 20
"""Steps."""
PARTS = ("drawing", "applying", "both in one process", "a round", "whole steps")


@dataclass(frozen=True)
class Figures:
    """Of one way to make samples on one grid.

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

    def engine(self, config: TrainingConfig) -> Figures:
        """Samples are made on the device."""
        engine = ENGINES[_dimensions(config)](self.store, config.sampling, config.seed, self.device)
        turns = itertools.count()

        def draw() -> PackedTable:
            return PackedTable.pack(engine.records.draw(_numbers(next(turns), config.batch)))

        drawn = draw()
        if self.device.type == "cuda":
            drawn = drawn.pin_memory()

        def apply() -> Batch:
            return engine.make(drawn.to(self.device, non_blocking=True).unpack())

        return self._figures(config, draw, apply, lambda batch: CellNoise(batch["key"], 1))

    def sampler(self, config: TrainingConfig) -> Figures:
        """Samples are made one by one, on the CPU."""
        sampler = SAMPLERS[_dimensions(config)](self.store, config.sampling, config.seed)
        turns = itertools.count()

        def draw() -> dict[str, Tensor]:
            samples = [vars(sampler.sample(int(n))) for n in _numbers(next(turns), config.batch)]
            return {name: torch.from_numpy(np.stack([s[name] for s in samples])) for name in samples[0]}

        drawn = draw()
        if self.device.type == "cuda":
            drawn = {name: values.pin_memory() for name, values in drawn.items()}

        def apply() -> Batch:
            return {name: values.to(self.device, non_blocking=True) for name, values in drawn.items()}

        generator = torch.Generator().manual_seed(1)
        return self._figures(config, draw, apply, lambda _: generator)

    def _figures(
        self,
        config: TrainingConfig,
        draw: Callable[[], object],
        apply: Callable[[], Batch],
        randomness: Callable[[Batch], Randomness],
    ) -> Figures:
        batch = apply()
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(config, self.store, Path(folder), self.device, report=lambda _: None)
            encoding = card_encoding(model_card(config.model))
            inputs = assemble_input(batch, encoding)

            def play() -> None:
                play_rounds(trainer.average, inputs, batch, 1, config.precision, randomness(batch), encoding)

            calls: list[Callable[[], object]] = [draw, apply, play]
            drawing, applying, playing = (self._rate(call, config.batch) for call in calls)
            rates = [drawing, applying, 1 / (1 / drawing + 1 / applying), playing]
            with closing(trainer.steps()) as steps:
                rates.append(self._rate(lambda: next(steps), config.batch, WARMUP))
                waiting = waiting_share(steps) if self.device.type == "cuda" else None
        return Figures(tuple(rates), waiting)

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


def _numbers(turn: int, batch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.arange(turn * batch, (turn + 1) * batch)


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


def print_table(config: TrainingConfig, device: torch.device, both: Sequence[Figures]) -> None:
    """Of one grid."""
    cells = " x ".join([str(config.sampling.grid)] * _dimensions(config))
    machine = f"{config.workers} workers, {os.cpu_count()} cores, {_device_name(device)}"
    title = f"{config.model}, {cells}, batches of {config.batch}, {machine}"
    table = Table(title=title, title_justify="left")
    for name in ("samples a second", "one by one", "on the device", "ratio"):
        table.add_column(name, justify="left" if name == "samples a second" else "right")
    for name, plain, engine in zip(PARTS, both[0].rates, both[1].rates, strict=True):
        # One way applies by sending alone, which compares with nothing.
        ratio = "" if name == "applying" else f"{engine / plain:.2f}"
        table.add_row(name, f"{plain:,.1f}", f"{engine:,.1f}", ratio)
    if both[0].waiting is not None:
        table.add_row("time the device waits", *(f"{100 * (f.waiting or 0):.0f} %" for f in both), "")
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
    given = parser.parse_args()
    device = resolve_device(given.device)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(given.data, given.store or Path(folder) / "store", print, keep=False)
    measurement = Measurement(store, device, given.seconds)
    recipe = load_recipe(given.model)
    assert isinstance(recipe, TrainingConfig)
    dimensions = _dimensions(recipe)
    settings = {"steps": ENDLESS, "validate_every": ENDLESS, "coarse_share": 0.0, "held_out": []}
    settings |= {"batch": given.batch or BATCHES[dimensions], "workers": given.workers} | MODELS[given.model]
    for grid in given.grids or GRIDS[dimensions]:
        plain = recipe.with_overrides(settings | {"sampling.grid": grid})
        on_device = plain.with_overrides({"sampling.on_device": True})
        both = [measurement.sampler(plain), measurement.engine(on_device)]
        print_table(plain, device, both)


if __name__ == "__main__":
    main()
