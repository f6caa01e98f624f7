from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from bedside.engines.window.sampling import appearance
from bedside.imaging.intensity import normalise_window

GRID = 40


def images(count: int = 6, axes: int = 2, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand((count, channels, *(GRID,) * axes), generator=generator)
    pool = F.avg_pool2d if axes == 2 else F.avg_pool3d
    return pool(rough, 3, 1, 1) * 300 - 20


@pytest.mark.parametrize(("axes", "channels"), [(2, 3), (3, 1)])
def test_windows_are_normalised_as_for_inference(axes: int, channels: int) -> None:
    batch = images(4, axes, channels)
    inside = torch.ones((4, *(GRID,) * axes), dtype=torch.bool)
    inside[1, :15] = False
    inside[2] = False
    batch[3] = 7.0
    batch[3, :, 4, 5] = 30.0
    got = appearance.normalise(batch, inside)
    for row, (image, known) in enumerate(zip(batch, inside, strict=True)):
        expected = normalise_window(image.numpy(), known.numpy())
        # Percentiles are taken from other cells, which moves where the brightest and darkest are cut.
        difference = np.abs(got[row].numpy() - expected)
        assert np.quantile(difference, 0.98) < 0.03
        assert difference.max() < 0.3
    assert not got[2].any()


def test_quantiles_are_those_of_what_counts() -> None:
    values = torch.arange(2 * 3 * 20 * 20, dtype=torch.float32).view(2, 3, 20, 20)
    counted = torch.zeros(2, 20, 20, dtype=torch.bool)
    counted[:, :10] = True
    ranks = torch.tensor([[0.0, 0.5, 1.0]]).expand(2, -1)
    got = appearance.quantiles(values[:, :1], ranks, counted)
    expected = torch.quantile(values[:, 0, :10].flatten(1), torch.tensor([0.0, 0.5, 1.0]), dim=1).T
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(("axes", "mode", "there"), [(2, "reflect", "mirror"), (3, "replicate", "nearest")])
def test_blurring_is_a_gaussian(axes: int, mode: str, there: str) -> None:
    batch = images(3, axes, 1)[(..., *(slice(20),) * axes)] / 300
    sigmas = (0.6, 1.0, 1.5)
    got = appearance.blur(batch, torch.tensor(sigmas), mode, 3)
    for row, sigma in enumerate(sigmas):
        reach = max(1, round(2 * sigma))
        expected = ndimage.gaussian_filter(batch[row, 0].numpy(), sigma, mode=there, radius=reach)
        np.testing.assert_allclose(got[row, 0], expected, atol=1e-5)


def test_coarsening_shrinks_with_antialiasing_and_enlarges_again() -> None:
    batch = images() / 300
    factors = [1.5, 2.0, 2.7, 3.3, 3.9, 9.0]
    matrix = appearance.coarsening(torch.tensor(factors), GRID, 8)[:, None]
    got = matrix @ batch @ matrix.transpose(2, 3)
    for row, factor in enumerate(factors):
        side = max(8, int(GRID / factor))
        small = F.interpolate(batch[row : row + 1], (side, side), mode="bilinear", antialias=True)
        expected = F.interpolate(small, (GRID, GRID), mode="bilinear", align_corners=False)
        torch.testing.assert_close(got[row], expected[0], atol=1e-4, rtol=0)


def test_curves_are_interpolated_between_their_knots() -> None:
    batch = appearance.stretch(images(), torch.tensor([[0.01, 0.99]]).expand(6, -1))
    assert (float(batch.min()), float(batch.max())) == (0, 1)
    knots = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    got = appearance.apply_curve(batch, knots)
    for row in range(6):
        expected = np.interp(batch[row].numpy(), np.linspace(0, 1, 6), knots[row].numpy())
        np.testing.assert_allclose(got[row], expected, atol=2e-3)


def test_noise_is_added_or_in_proportion_to_the_signal() -> None:
    image = torch.tensor([0.5, 0.5]).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    noise = torch.ones(2, 3, 8, 8)
    got = appearance.add_noise(image, noise, torch.tensor([0.1, 0.1]), torch.tensor([False, True]))
    torch.testing.assert_close(got[:, 0, 0, 0], torch.tensor([0.6, 0.5 * 1.2]))


@pytest.mark.parametrize("grid", [(64, 64), (128, 128), (256, 256), (32,) * 3, (64,) * 3, (96,) * 3])
def test_ranks_are_taken_from_cells_all_over_the_grid(grid: tuple[int, ...]) -> None:
    cells = int(np.prod(grid))
    places = np.arange(0, cells, appearance.ranking_step(grid))
    assert 0.7 * min(appearance.RANKED, cells) < len(places) <= 2 * appearance.RANKED
    # Every eighth of the grid holds its part of them, and every oblique layer, too.
    at = np.array(np.unravel_index(places, grid))
    counts = np.histogramdd(at.T, bins=4)[0]
    assert counts.min() > 0.6 * counts.mean()
    for signs in np.ndindex((3,) * len(grid)):
        layer = (at.T @ (np.array(signs) - 1)) % 16
        if any(s != 1 for s in signs):
            assert np.bincount(layer, minlength=16).min() > 0.3 * len(places) / 16
