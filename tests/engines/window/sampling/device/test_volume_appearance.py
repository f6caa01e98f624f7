from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.engines.window.sampling import volume_augmentation
from bedside.engines.window.sampling.device import volume_appearance
from bedside.engines.window.sampling.device.records import Arrays
from bedside.train.hashing import Draws

GRID = 16


def volume() -> Tensor:
    rough = torch.rand((1, 1, GRID, GRID, GRID), generator=torch.Generator().manual_seed(0))
    return F.avg_pool3d(rough, 3, 1, 1) * 300 - 20


def table_of(arrays: Arrays, count: int) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()} | {"key": torch.arange(count)}


def test_appearances_are_distributed_as_those_of_the_reference() -> None:
    count = 500
    arrays = volume_appearance.draw_volume_appearance(Draws(0, np.arange(count)))
    got = volume_appearance.change_volumes(volume().expand(count, -1, -1, -1, -1), table_of(arrays, count))[:, 0]
    generator = np.random.default_rng(0)
    expected = torch.stack([volume_augmentation.augment_volume(volume()[0, 0], generator) for _ in range(count)])
    assert bool(got.isfinite().all())
    ranks = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    for measure in (Tensor.mean, Tensor.std):
        ours, theirs = (measure(v.flatten(1), dim=1).quantile(ranks) for v in (got, expected))
        torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0)
    # Neighbouring cells differ by noise, and agree by blur and thick slices.
    for axis in (1, 2, 3):
        rough = [v.diff(dim=axis).abs().mean(dim=(1, 2, 3)).quantile(ranks) for v in (got, expected)]
        torch.testing.assert_close(rough[0], rough[1], rtol=0.2, atol=0.006)


def test_changes_come_in_their_shares() -> None:
    count = 8000
    drawn = volume_appearance.draw_volume_appearance(Draws(3, np.arange(count)))
    shares = {"curved": 0.08, "shaded": 0.2, "thick": 0.2, "blurred": 0.16, "noisy": 0.25, "soft": 0.075}
    assert {n: len(drawn[n]) / count for n in shares} == pytest.approx(shares, abs=0.015)
    assert (drawn["sign"][:, 0] < 0).mean() == pytest.approx(0.2, abs=0.015)
    thickness = drawn["thickness"]
    assert ((thickness > 1).sum(axis=1) == 1).all()
    assert np.bincount(thickness.max(axis=1))[2:].min() > 0.8 * len(thickness) / 5
    assert (thickness > 1).mean(axis=0) == pytest.approx(np.full(3, 1 / 3), abs=0.04)


def test_slices_are_thick_as_often_as_asked() -> None:
    for anisotropy, share in ((0.0, 0.0), (2.0, 0.4)):
        drawn = volume_appearance.draw_volume_appearance(Draws(3, np.arange(2000)), anisotropy)
        assert len(drawn["thick"]) / 2000 == pytest.approx(share, abs=0.04)


def test_soft_noise_is_as_strong_as_that_of_the_reference() -> None:
    keys = torch.arange(40)
    soft = torch.arange(0, 40, 2)
    noise = volume_appearance._noise(keys, GRID, soft)[:, 0]
    white = torch.randn((GRID,) * 3, generator=torch.Generator().manual_seed(0))
    expected = 2 * volume_augmentation.blur(white, 0.8)
    assert float(noise[1::2].std()) == pytest.approx(1, abs=0.03)
    assert float(noise[soft].std()) == pytest.approx(float(expected.std()), rel=0.1)
