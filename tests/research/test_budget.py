from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from bedside.core.errors import InputError
from bedside.data.store import Store
from bedside.train.config import TrainingConfig
from research.budget import PLAN, Budget, plan_steps

CPU = torch.device("cpu")
CONFIG = TrainingConfig.from_dict(
    {
        "model": "bedside-2d",
        "batch": 2,
        "workers": 0,
        "precision": "fp32",
        "sampling": {"grid": 32},
        "architecture": {"widths": [8, 8, 8, 8, 8], "depths": [1, 1, 1, 1, 1]},
    }
)


def test_steps_are_measured_once_and_nothing_else_is_left(store: Store, tmp_path: Path) -> None:
    steps = plan_steps(CONFIG, store, tmp_path, CPU, Budget(minutes=0.5))
    assert steps > 1
    assert [path.name for path in tmp_path.iterdir()] == [PLAN]
    plan = json.loads((tmp_path / PLAN).read_text())
    assert plan["steps"] == steps == round(30 / plan["seconds_a_step"])
    assert plan_steps(CONFIG, store, tmp_path, CPU, Budget(minutes=0.5)) == steps
    with pytest.raises(InputError, match=r"expected 0\.5 minutes, as begun, got 1 minutes"):
        plan_steps(CONFIG, store, tmp_path, CPU, Budget(minutes=1))


def test_samples_are_steps_of_a_batch(store: Store, tmp_path: Path) -> None:
    assert plan_steps(CONFIG, store, tmp_path / "a", CPU, Budget(samples=100)) == 50
    assert plan_steps(CONFIG, store, tmp_path / "b", CPU, Budget(samples=1)) == 1
    with pytest.raises(InputError, match=r"expected 100 samples, as begun, got 0\.5 minutes"):
        plan_steps(CONFIG, store, tmp_path / "a", CPU, Budget(minutes=0.5))


@pytest.mark.parametrize(
    "unusable", [{}, {"minutes": 1.0, "samples": 5}, {"minutes": 0.0}, {"samples": 0}, {"minutes": math.nan}]
)
def test_unusable_budgets_are_rejected(unusable: dict[str, float]) -> None:
    with pytest.raises(InputError, match="budget of a campaign"):
        Budget(**unusable)  # type: ignore[arg-type]
