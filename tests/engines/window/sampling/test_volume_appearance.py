from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from bedside.engines.window.sampling import volume_appearance
from bedside.engines.window.sampling.packed_table import Arrays
from bedside.train.hashing import Draws

GRID = 16


def volume() -> Tensor:
    rough = torch.rand((1, 1, GRID, GRID, GRID), generator=torch.Generator().manual_seed(0))
    return F.avg_pool3d(rough, 3, 1, 1) * 300 - 20


def table_of(arrays: Arrays, count: int) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()} | {"key": torch.arange(count)}


@pytest.mark.parametrize(("low", "width"), [(-2000.0, 5000.0), (0.0, 1.0), (7.0, 0.0)])
def test_any_range_becomes_a_finite_window(low: float, width: float) -> None:
    count = 200
    image = (volume() / 300 * width + low).expand(count, -1, -1, -1, -1).contiguous()
    before = image.clone()
    arrays = volume_appearance.draw_volume_appearance(Draws(0, np.arange(count)))
    result = volume_appearance.change_volumes(image, table_of(arrays, count))
    assert torch.equal(image, before)
    assert result.shape == image.shape
    assert bool(result.isfinite().all())
    assert float(result.abs().max()) < 4


def test_contrast_is_inverted_now_and_then() -> None:
    count = 300
    image = volume().expand(count, -1, -1, -1, -1)
    arrays = volume_appearance.draw_volume_appearance(Draws(0, np.arange(count)))
    result = volume_appearance.change_volumes(image, table_of(arrays, count)).flatten(1)
    correlations = np.array([np.corrcoef(r, image[0].flatten())[0, 1] for r in result])
    assert 0.12 < np.mean(correlations < -0.3) < 0.28
    assert np.mean(correlations > 0.3) > 0.6


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


def test_soft_noise_is_white_noise_after_a_gaussian() -> None:
    keys = torch.arange(40)
    soft = torch.arange(0, 40, 2)
    noise = volume_appearance._noise(keys, GRID, soft)[:, 0]
    white = np.random.default_rng(0).standard_normal((GRID,) * 3)
    expected = 2 * ndimage.gaussian_filter(white, volume_appearance.SOFT, mode="nearest", radius=2)
    assert float(noise[1::2].std()) == pytest.approx(1, abs=0.03)
    assert float(noise[soft].std()) == pytest.approx(float(expected.std()), rel=0.1)
