"""Trainings one after the other, in one process or in all that ``torchrun`` starts with this file and a plan."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bedside.data.store import Store
from bedside.train.config import TrainingConfig
from bedside.train.digest import state_sha256
from bedside.train.joining import joined_processes
from bedside.train.trainer import Trainer


@dataclass(frozen=True)
class PlannedRun:
    """A training, or a part of one.

    Attributes:
        config: Settings, as plain values.
        store: Folder of the packed store.
        out: Folder of the run; the run goes on from the checkpoint in it.
        until: Step after which the process with the highest rank is interrupted; 0 for none.
        apart: Whether each process has a folder of its own within ``out``, by its rank.
    """

    config: dict[str, Any]
    store: str
    out: str
    until: int = 0
    apart: bool = False


def train_all(runs: Sequence[PlannedRun], notes: Path) -> None:
    """Go through the runs; what a process ends each with is in ``notes``, in a file named by its rank."""
    noted = []
    with joined_processes() as processes:
        for run in runs:

            def interrupt(step: int, last: int = run.until) -> None:
                if step == last and processes.rank == processes.count - 1:
                    signal.raise_signal(signal.SIGINT)

            folder = Path(run.out) / str(processes.rank) if run.apart else Path(run.out)
            made = Trainer(
                TrainingConfig.from_dict(run.config),
                Store(run.store),
                folder,
                torch.device("cpu"),
                report=lambda _: None,
                advance=interrupt,
            )
            made.resume()
            try:
                made.run()
            except KeyboardInterrupt:
                assert run.until, "interrupted without being asked to"
            tensors = state_sha256(made.network.state_dict())
            noted.append({"step": made.progress.step, "tensors": tensors})
        (notes / f"{processes.rank}.json").write_text(json.dumps(noted))


def write_plan(path: Path, runs: Sequence[PlannedRun]) -> None:
    path.write_text(json.dumps([asdict(run) for run in runs]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    plan = Path(sys.argv[1])
    train_all([PlannedRun(**entry) for entry in json.loads(plan.read_text())], plan.parent)
