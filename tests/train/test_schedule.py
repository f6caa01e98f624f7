from __future__ import annotations

import dataclasses
import itertools

import pytest

from bedside.train.config import TrainingConfig
from bedside.train.schedule import learning_rate


def test_learning_rate_rises_stays_and_falls_to_zero(config: TrainingConfig) -> None:
    config = dataclasses.replace(config, steps=100, warmup_steps=10, cooldown=0.5, learning_rate=1.0)
    rates = [learning_rate(config, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:51] == [1.0] * 42
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert all(a >= b for a, b in itertools.pairwise(rates[50:]))


def test_without_warm_up_and_cooling_it_is_constant(config: TrainingConfig) -> None:
    config = dataclasses.replace(config, steps=50, warmup_steps=0, cooldown=0.0, learning_rate=0.3)
    assert {learning_rate(config, step) for step in range(50)} == {0.3}
