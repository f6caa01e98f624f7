from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from bedside.engines.sam.training.schedule import Plateau, RunningClip, scale


def test_a_plateau_is_that_of_torch() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.8, patience=2)
    ours = Plateau(decay=0.8, patience=2)
    losses = [3.0, 2.0, 2.0, 2.5, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.6, 0.6, 0.6]
    for loss in losses:
        theirs.step(loss)
        # An epoch of two steps, whose mean counts.
        ours.step(loss - 0.25, ends_epoch=False)
        ours.step(loss + 0.25, ends_epoch=True)
        assert ours.factor == pytest.approx(optimiser.param_groups[0]["lr"])
    assert ours.factor < 0.7


def test_a_plateau_goes_on_from_its_state_and_bears_losses_that_are_no_numbers() -> None:
    first, whole = Plateau(0.5, 0), Plateau(0.5, 0)
    losses = [1.0, math.nan, 1.0, 2.0, 2.0, 0.1, math.inf, 5.0]
    for n, loss in enumerate(losses[:3]):
        first.step(loss, ends_epoch=n % 2 == 1)
    second = Plateau(0.5, 0)
    second.load_state_dict(first.state_dict())
    for n, loss in enumerate(losses):
        whole.step(loss, ends_epoch=n % 2 == 1)
        if n >= 3:
            second.step(loss, ends_epoch=n % 2 == 1)
    assert second == whole
    assert whole.factor == 0.125


def test_gradients_are_cut_at_the_percentile_of_the_norms_so_far() -> None:
    parameter = nn.Parameter(torch.zeros(4))
    clip, norms = RunningClip(), []
    for length in (1.0, 2.0, 8.0, 0.5, 100.0):
        parameter.grad = torch.full((4,), length / 2)
        assert clip.clip([parameter]) == pytest.approx(length)
        norms.append(length)
        limit = float(np.quantile(norms, 0.9))
        assert float(parameter.grad.norm()) == pytest.approx(min(length, limit), rel=1e-4)
    assert clip.norms == pytest.approx(norms)
    parameter.grad = torch.full((4,), math.nan)
    assert math.isnan(clip.clip([parameter]))
    assert len(clip.norms) == 5


def test_rates_that_depend_on_the_step_alone() -> None:
    assert scale("constant", 9, 10, 2, 0.5) == 1
    assert [scale("exponential", n, 6, 2, 0.5) for n in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert scale("cosine", 0, 10, 2, 0.5) == 1
    assert scale("cosine", 5, 10, 2, 0.5) == pytest.approx(0.5)
    assert scale("cosine", 10, 10, 2, 0.5) == pytest.approx(0)
    # As torch's, it rises again after its period.
    assert scale("cosine", 15, 10, 2, 0.5) == pytest.approx(0.5)
