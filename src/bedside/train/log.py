"""What a run tells while it goes on: lines, a table of validations, and TensorBoard where it is installed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bedside.core.files import append_text
from bedside.core.tables import csv_text
from bedside.train.config import TrainingConfig

VALIDATION = "validation.csv"
"""Table in a run's folder with a row for every validation."""
LOSSES = "losses.csv"
"""Table in a run's folder with a row for every line of the log: the mean loss of the steps since the line before."""


class RunLog:
    """Collects a run's figures in its folder.

    Args:
        folder: The run's folder; gets the tables of losses and validations and TensorBoard's event files.
        report: Called with each line.
    """

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._report = report
        self._losses: list[float] = []
        self._samples = 0
        self._last: float | None = None
        self._writer: Any = None

    def step(
        self,
        step: int,
        config: TrainingConfig,
        *,
        loss: float,
        rate: float,
        norm: float,
        seconds: float,
        samples: int,
    ) -> None:
        """Record one optimiser step of ``samples`` samples, ``seconds`` into the run."""
        self._losses.append(loss)
        if self._last is None:
            # The first step only starts the clock: it also pays for starting up.
            self._last = seconds
        else:
            self._samples += samples
        if step % config.log_every:
            return
        mean = sum(self._losses) / len(self._losses)
        speed = self._samples / max(seconds - self._last, 1e-9)
        self._report(f"step {step}/{config.steps}  loss {mean:.4f}  rate {rate:.2e}  {speed:.1f} samples/s")
        _append(self._folder / LOSSES, {"step": step, "loss": f"{mean:.5f}", "rate": f"{rate:.3e}"})
        self._scalar({"loss": mean, "learning rate": rate, "gradient norm": norm, "samples per second": speed}, step)
        self._losses, self._samples, self._last = [], 0, seconds

    def validation(self, step: int, scores: Mapping[str, float]) -> None:
        """Record scores on held-out samples by name; every time the same names in the same order."""
        self._report(f"step {step}  held-out  " + "  ".join(f"{name} {score:.4f}" for name, score in scores.items()))
        _append(self._folder / VALIDATION, {"step": step, **{name: f"{score:.5f}" for name, score in scores.items()}})
        self._scalar({f"held-out/{name}": score for name, score in scores.items()}, step)

    def close(self) -> None:
        """Flush TensorBoard's events."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _scalar(self, values: dict[str, float], step: int) -> None:
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError:
                return
            self._writer = SummaryWriter(str(self._folder))
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)


def _append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a table, which begins with the names of its columns."""
    head = [list(row)] if not path.exists() or path.stat().st_size == 0 else []
    append_text(path, csv_text([*head, list(row.values())]))


def read_losses(path: Path) -> dict[int, float]:
    """Return the mean losses of a table, by the last step of each; steps that were taken twice count as they were
    last.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}


def read_last_validation(path: Path) -> dict[str, float]:
    """Return the last row of the table of validations, empty where there is none."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: float(value) for name, value in rows[-1].items()} if rows else {}
