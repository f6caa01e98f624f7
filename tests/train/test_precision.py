from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

import bedside.engines.window.training.task
from bedside.data.store import Store
from bedside.train import precision
from bedside.train.config import TrainingConfig
from bedside.train.precision import PrecisionChoice, measure_precision
from bedside.train.trainer import Trainer

CPU = torch.device("cpu")


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Conv2d(3, 1, 3, padding=1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    choice, line = measure_precision(network, torch.zeros(2, 3, 8, 8))
    assert {choice.gradient, choice.rounds} <= {"fp32", "bf16"}
    assert line.startswith(f"precision: {choice.gradient} with gradient, {choice.rounds} without")
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(("bf16", "expected"), [(1.0, "fp32"), (0.95, "fp32"), (0.85, "bf16"), (11.0, "fp32")])
def test_bfloat16_has_to_gain_something(bf16: float, expected: str) -> None:
    assert precision._faster(1.0, bf16) == expected


@pytest.mark.parametrize("chosen", [PrecisionChoice("fp32", "bf16"), PrecisionChoice("bf16", "fp32")])
def test_a_run_goes_on_with_what_it_began_with(
    config: TrainingConfig, store: Store, tmp_path: Path, chosen: PrecisionChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(config, precision="auto", steps=4, validate_every=2)
    lines: list[str] = []
    monkeypatch.setattr(
        bedside.engines.window.training.task, "measure_precision", lambda *_: (chosen, "precision: chosen")
    )
    whole = Trainer(config, store, tmp_path / "whole", CPU, report=lines.append)
    whole.run()
    assert "precision: chosen" in lines
    first = Trainer(config, store, tmp_path / "parts", CPU, report=lambda _: None)
    (tmp_path / "parts").mkdir()
    steps = first.steps()
    assert [next(steps), next(steps)] == [1, 2]
    first.save()
    other = PrecisionChoice(chosen.rounds, chosen.gradient)
    monkeypatch.setattr(bedside.engines.window.training.task, "measure_precision", lambda *_: (other, "not asked"))
    second = Trainer(config, store, tmp_path / "parts", CPU, report=lines.append)
    assert second.resume()
    second.run()
    assert "not asked" not in lines
    assert second.task.card_entries()["precision"] == dataclasses.asdict(chosen)
    for a, b in zip(whole.average.parameters(), second.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_the_settings_say_is_not_measured(config: TrainingConfig, store: Store, tmp_path: Path) -> None:
    lines: list[str] = []
    Trainer(dataclasses.replace(config, precision="fp32", steps=1), store, tmp_path, CPU, report=lines.append).run()
    assert not any(line.startswith("precision:") for line in lines)
