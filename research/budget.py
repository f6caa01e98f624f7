"""What each variant of a campaign may spend: minutes of training on the machine at hand, or samples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically
from bedside.data.store import Store
from bedside.train.config import TrainingConfig
from bedside.train.trainer import Trainer

PLAN = "plan.json"
"""In a variant's folder: its budget, and the steps that fit it."""
TIMED_STEPS = 24
WARM_STEPS = 3
"""Steps that are taken before the timed ones."""


@dataclass(frozen=True)
class Budget:
    """Minutes or samples, one of the two.

    Minutes ask whether what costs more is worth it, and need an idle machine to be equal; samples are equal on any.

    Attributes:
        minutes: Minutes of training.
        samples: That are seen.
    """

    minutes: float | None = None
    samples: int | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.samples is None):
            raise InputError(
                "budget of a campaign", expected="minutes or samples", got="both" if self.minutes else "none"
            )
        amount = self.minutes if self.samples is None else self.samples
        # Asked this way round because no comparison holds for NaN.
        if not (amount is not None and 0 < amount < float("inf")):
            raise InputError("budget of a campaign", expected="more than 0", got=str(self))

    def __str__(self) -> str:
        return f"{self.samples} samples" if self.minutes is None else f"{self.minutes:g} minutes"


def plan_steps(
    config: TrainingConfig,
    store: Store,
    folder: Path,
    device: torch.device,
    budget: Budget,
    report: Callable[[str], None] = print,
) -> int:
    """Steps of ``config`` that fit into a budget; how long one takes here is measured once and then kept in the folder.

    Raises:
        InputError: The run in the folder was begun with another budget.
    """
    path = folder / PLAN
    if path.exists():
        plan = json.loads(path.read_text(encoding="utf-8"))
        begun = Budget(plan.get("minutes"), plan.get("samples"))
        if begun != budget:
            raise InputError(f"budget of {folder.name}", expected=f"{begun}, as begun", got=str(budget))
        return int(plan["steps"])
    if budget.samples is not None:
        steps, seconds = max(1, round(budget.samples / config.batch)), None
    else:
        assert budget.minutes is not None
        seconds = time_step(config, store, folder, device, report)
        steps = max(1, round(budget.minutes * 60 / seconds))
    write_text_atomically(path, json.dumps({**asdict(budget), "steps": steps, "seconds_a_step": seconds}) + "\n")
    return steps


def time_step(
    config: TrainingConfig, store: Store, folder: Path, device: torch.device, report: Callable[[str], None]
) -> float:
    """Seconds of a step on this machine."""
    # A run without an end, of which a few steps are taken and nothing is written.
    endless = config.with_overrides({"steps": 10**9, "validate_every": 10**9, "log_every": 10**9})
    trainer = Trainer(endless, store, folder, device, report=report)
    steps_taken = trainer.steps()
    marks = [time.monotonic() for _ in zip(range(WARM_STEPS + TIMED_STEPS), steps_taken, strict=False)]
    steps_taken.close()
    return (marks[-1] - marks[WARM_STEPS - 1]) / TIMED_STEPS
