"""Samples a second of training in one process and in several, which ``torchrun`` starts on this machine.

Every process has the same number of threads. Whole steps of the recipe are measured, with its rounds and without
validations and checkpoints; the batch of a step is the same, however many processes share it. Beside it the processor
time of a sample, of all processes together, which others at work on the machine hardly change.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch

from bedside.data.store import Store
from bedside.train.config import TrainingConfig
from bedside.train.devices import DEVICES, resolve_device
from bedside.train.joining import joined_processes
from bedside.train.packing import open_store
from bedside.train.recipes import load_recipe
from bedside.train.trainer import Trainer

ENDLESS = 10**6
"""Steps, so that no validation and no checkpoint falls into the time that is measured."""
WARMUP = 3
"""Steps before the clock starts."""


def measure(given: argparse.Namespace) -> None:
    """Train in all processes; one prints samples a second, and processor time a sample, of all together."""
    recipe = load_recipe(given.model)
    assert isinstance(recipe, TrainingConfig)
    settings = {"steps": ENDLESS, "validate_every": ENDLESS, "coarse_share": 0.0, "fine_every": 0, "held_out": []}
    settings |= {"batch": given.batch, "workers": given.workers, "precision": given.precision, "log_every": ENDLESS}
    config = recipe.with_overrides(settings | {"sampling.grid": given.grid})
    torch.set_num_threads(given.threads)
    with joined_processes() as processes, tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Store(given.data), Path(folder), resolve_device(given.device), report=lambda _: None)
        with closing(trainer.steps()) as steps:
            for _ in range(WARMUP):
                next(steps)
            processes.wait()
            began, used = time.perf_counter(), time.process_time()
            for _ in range(given.steps):
                next(steps)
            seconds, used = time.perf_counter() - began, time.process_time() - used
            used = float(processes.sum(torch.tensor(used)))
    if processes.writes:
        samples = given.steps * given.batch
        print(samples / seconds, used / samples)


def launch(count: int, store: Path, given: argparse.Namespace) -> tuple[float, float]:
    """Return what ``measure`` prints in ``count`` processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", __file__]
    command += ["--measure", "--data", str(store), "--model", given.model, "--device", given.device]
    for name in ("batch", "grid", "workers", "threads", "steps", "precision"):
        command += [f"--{name}", str(getattr(given, name))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rate, used = done.stdout.split()[-2:]
    return float(rate), float(used)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, or a packed store")
    parser.add_argument("--model", default="bedside-2d", help="recipe")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2], help="numbers of processes")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured, in turn")
    parser.add_argument("--batch", type=int, default=16, help="samples of a step")
    parser.add_argument("--grid", type=int, default=64, help="cells along each side")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw, of each process")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--steps", type=int, default=20, help="steps that are measured")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        open_store(given.data, store, print)
        store = store if store.exists() else given.data
        figures: dict[int, list[tuple[float, float]]] = {count: [] for count in given.counts}
        for _ in range(given.repeats):
            for count in given.counts:
                figures[count].append(launch(count, store, given))
    where = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{given.model}, grid {given.grid}, batches of {given.batch}, {given.threads} threads a process; {where}")
    for count, found in figures.items():
        rates, used = zip(*found, strict=True)
        wall = f"median {statistics.median(rates):.1f} samples/s ({min(rates):.1f} to {max(rates):.1f})"
        print(f"{count} processes: {wall}, {1000 * statistics.median(used):.0f} ms of a processor a sample")


if __name__ == "__main__":
    main()
