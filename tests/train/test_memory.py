from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

from bedside.core.errors import InputError
from bedside.train.config import TrainingConfig
from bedside.train.memory import OVERHEAD, activation_bytes, largest_micro_batch
from bedside.weights.models import build_model

CPU = torch.device("cpu")


def test_bytes_saved_for_the_backward_pass() -> None:
    # A convolution saves its input, a ReLU its output, and weights are not counted.
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
    assert activation_bytes(network, torch.zeros(2, 1, 8, 8), "fp32") == 4 * (2 * 64 + 2 * 4 * 64)


def test_the_limit_lowers_the_micro_batch(config: TrainingConfig) -> None:
    config = dataclasses.replace(config, batch=8)
    network = build_model(config.model)
    assert largest_micro_batch(network, config, CPU, None, 8) == 8
    assert largest_micro_batch(network, config, CPU, 100.0, 8) == 8
    fixed = 20 * sum(p.numel() for p in network.parameters())
    each = OVERHEAD * activation_bytes(network, torch.zeros(1, 8, 32, 32), config.precision)
    for samples in (1, 3):
        assert largest_micro_batch(network, config, CPU, (fixed + (samples + 0.5) * each) / 1e9, 8) == samples
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("memory", [0.01, 0, -1, math.nan, math.inf])
def test_too_little_memory_is_rejected(config: TrainingConfig, memory: float) -> None:
    with pytest.raises(InputError, match=r"^memory: expected"):
        largest_micro_batch(build_model(config.model), config, CPU, memory, 8)
