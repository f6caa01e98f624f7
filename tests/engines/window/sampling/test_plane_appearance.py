from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.engines.window.sampling.packed_table import Arrays
from bedside.engines.window.sampling.plane_appearance import change_planes, draw_plane_appearance
from bedside.train.hashing import Draws

GRID = 32


def images(colour: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Tensor:
    """Windows of smooth noise in any range, three equal channels where they are not in colour."""
    rough = torch.rand((len(colour), 3, GRID, GRID), generator=torch.Generator().manual_seed(0))
    smooth = F.avg_pool2d(rough, 3, 1, 1) * 300 - 20
    return torch.where(torch.from_numpy(colour)[:, None, None, None], smooth, smooth[:, :1])


def drawn(count: int, *, coloured: bool) -> Arrays:
    return draw_plane_appearance(np.full(count, coloured), Draws(3, np.arange(count)))


def changed(image: Tensor, arrays: Arrays) -> Tensor:
    table = {name: torch.from_numpy(values) for name, values in arrays.items()} | {"key": torch.arange(len(image))}
    return change_planes(image, table)


def test_changes_come_in_their_shares() -> None:
    count = 8000
    arrays = drawn(count, coloured=True)
    shares = {"curved": 0.06, "shaded": 0.15, "blurred": 0.15, "coarsened": 0.1, "noisy": 0.25, "mixed": 1.0}
    assert {n: len(arrays[n]) / count for n in shares} == pytest.approx(shares, abs=0.015)
    assert (arrays["sign"][:, 0] < 0).mean() == pytest.approx(0.15, abs=0.015)
    assert (arrays["gamma"] != 1).mean() == pytest.approx(0.5, abs=0.02)
    assert (arrays["ranks"][:, 0] != np.float32(0.005)).mean() == pytest.approx(0.15, abs=0.015)
    assert arrays["speckle"].mean() == pytest.approx(0.4, abs=0.04)
    # One in five becomes grey, and of the others six in ten are brightened channel by channel, three in ten fade.
    grey = np.abs(arrays["mixing"] - arrays["mixing"][:, :1]).max(axis=(1, 2)) < 1e-6
    assert grey.mean() == pytest.approx(0.2, abs=0.015)
    assert (np.abs(arrays["mixing"][:, :, 3]).max(axis=1) > 0).mean() == pytest.approx(0.8 * 0.6, abs=0.02)
    assert (arrays["saturation"] != 1).mean() == pytest.approx(0.8 * 0.3, abs=0.02)


def test_numbers_lie_in_their_ranges() -> None:
    arrays = drawn(4000, coloured=False)
    for name, (low, high) in {
        "gamma": (np.exp(-0.6), np.exp(0.6)), "curve": (0, 1), "shade": (-0.4, 0.4), "sigma": (0.4, 1.6),
        "factor": (1.5, 4.0), "strength": (0.0, 0.1),
    }.items():  # fmt: skip
        values = arrays[name]
        assert low - 1e-6 <= values.min() < low + 0.1 * (high - low)
        assert high + 1e-6 >= values.max() > high - 0.1 * (high - low)
    assert not len(arrays["mixed"])


def test_windows_stay_finite_and_grey_ones_grey() -> None:
    colour = np.arange(400) % 2 == 0
    image = images(colour)
    image[:4] = 7.0
    arrays = draw_plane_appearance(colour, Draws(0, np.arange(400)))
    before = image.clone()
    result = changed(image, arrays)
    assert torch.equal(image, before)
    assert result.shape == (400, 3, GRID, GRID)
    assert bool(result.isfinite().all())
    assert -2 < float(result.min()) <= float(result.max()) < 3
    grey = result[~torch.from_numpy(colour)]
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(grey[:, 0], grey[:, 2])
    apart = (result[::2, 0] - result[::2, 1]).abs().amax(dim=(1, 2)) > 1e-3
    assert 0.6 < float(apart.float().mean()) < 0.9


def test_what_is_changed_depends_on_the_sample_alone() -> None:
    colour = np.arange(60) % 3 == 0
    image = images(colour)
    whole = changed(image, draw_plane_appearance(colour, Draws(0, np.arange(60))))
    part = draw_plane_appearance(colour[20:30], Draws(0, np.arange(20, 30)))
    table = {name: torch.from_numpy(values) for name, values in part.items()} | {"key": torch.arange(20, 30)}
    torch.testing.assert_close(change_planes(image[20:30], table), whole[20:30], atol=2e-4, rtol=0)
