from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from bedside.train.clicks import (
    MAXIMUM_DEPTH,
    SHARPNESS,
    CellNoise,
    correction_clicks,
    erosion_depth,
    squared_distances,
)


def blobs(shape: tuple[int, ...], seed: int, threshold: float = 0.5) -> torch.Tensor:
    """Smooth random masks (batch, *grid)."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = np.stack([ndimage.gaussian_filter(n, 3) for n in noise])
    return torch.from_numpy(smooth > threshold * smooth.std())


@pytest.mark.parametrize("shape", [(3, 40, 33), (2, 16, 20, 24)])
def test_depth_is_the_chessboard_distance_to_the_outside(shape: tuple[int, ...]) -> None:
    mask = blobs(shape, 0)
    for sample, depth in zip(mask.numpy(), erosion_depth(mask).numpy(), strict=True):
        distance = ndimage.distance_transform_cdt(np.pad(sample, 1), "chessboard")
        inner = (slice(1, -1),) * sample.ndim
        np.testing.assert_array_equal(depth, distance[inner])
        assert depth.max() > 2


@pytest.mark.parametrize("shape", [(3, 21, 26), (2, 14, 17, 19)])
def test_erosion_by_axis_is_that_of_the_whole_neighbourhood(shape: tuple[int, ...]) -> None:
    mask = blobs(shape, 2, 0.2)
    pool = torch.nn.functional.max_pool2d if len(shape) == 3 else torch.nn.functional.max_pool3d
    expected = torch.zeros(shape)
    # A border of zeros around the grid, because pooling leaves out what lies beyond it.
    current = torch.nn.functional.pad(mask.float(), [1, 1] * (len(shape) - 1))[:, None]
    inner = (slice(None), 0, *(slice(1, -1),) * (len(shape) - 1))
    while current.any():
        expected += current[inner]
        current = -pool(-current, 3, stride=1, padding=1)
    assert torch.equal(erosion_depth(mask), expected)
    assert expected.max() > 3


def test_depth_ends_at_its_maximum() -> None:
    depth = erosion_depth(torch.ones(1, 80, 80))
    assert float(depth.max()) == MAXIMUM_DEPTH
    assert float(depth[0, 0, 0]) == 1
    assert float(depth[0, 3, 40]) == 4


@pytest.mark.parametrize("shape", [(8, 40, 33), (8, 12, 20, 16)])
def test_clicks_lie_inside_the_error(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    error = blobs(shape, 1)
    error[2] = False
    found = set()
    for _ in range(20):
        positions, active = correction_clicks(error, generator)
        assert positions.shape == (len(error), error.ndim - 1)
        assert active.tolist() == [n != 2 for n in range(len(error))]
        for sample, position, counts in zip(error, positions, active, strict=True):
            assert not counts or bool(sample[tuple(position)])
        found.add(tuple(positions[0].tolist()))
    assert len(found) > 5


def test_clicks_prefer_the_deep_inside() -> None:
    error = torch.zeros(400, 32, 32, dtype=torch.bool)
    error[:, 2:4, 2:30] = True
    error[:, 12:29, 8:25] = True
    positions, _ = correction_clicks(error, torch.Generator().manual_seed(0))
    depth = erosion_depth(error)[(torch.arange(400), *positions.T)]
    assert float((depth == 9).float().mean()) > 0.3
    assert float((depth >= 4).float().mean()) > 0.8
    assert len(depth.unique()) > 3


def test_a_whole_grid_of_error_takes_a_click() -> None:
    positions, active = correction_clicks(torch.ones(2, 9, 9, dtype=torch.bool), torch.Generator().manual_seed(0))
    assert active.all()
    assert positions.min() >= 0
    assert positions.max() < 9


@pytest.mark.parametrize("grid", [(20, 24), (10, 12, 14)])
def test_distances_are_euclidean(grid: tuple[int, ...]) -> None:
    positions = torch.tensor([[5, 6, 7][: len(grid)], [0, 1, 2][: len(grid)], [9, 3, 3][: len(grid)]])
    squared = squared_distances(positions, grid)
    assert squared.shape == (3, *grid)
    for sample, place in zip(squared.numpy(), positions.tolist(), strict=True):
        empty = np.ones(grid)
        empty[tuple(place)] = 0
        np.testing.assert_allclose(sample, ndimage.distance_transform_edt(empty) ** 2, atol=1e-3)


class TestCellNoise:
    KEYS = torch.arange(400) * 7919

    def test_clicks_are_drawn_as_with_a_generator(self) -> None:
        error = blobs((1, 24, 24), 5).expand(400, -1, -1)
        depths = []
        for randomness in (CellNoise(self.KEYS, 3), torch.Generator().manual_seed(0)):
            positions, active = correction_clicks(error, randomness)
            assert bool(active.all())
            depths.append(erosion_depth(error)[(torch.arange(400), *positions.T)])
        assert bool((depths[0] > 0).all())
        shares = [torch.stack([(d == level).float().mean() for level in range(1, 5)]) for d in depths]
        torch.testing.assert_close(shares[0], shares[1], atol=0.1, rtol=0)

    def test_each_sharpness_is_drawn_as_often(self) -> None:
        drawn, uniform = CellNoise(self.KEYS, 0).draw(9)
        assert (drawn.shape, uniform.shape) == ((400, 1), (400, 9))
        for value in SHARPNESS:
            assert float((drawn == value).float().mean()) == pytest.approx(1 / 3, abs=0.08)

    def test_keys_seed_and_turn_decide(self) -> None:
        noise, same = CellNoise(self.KEYS, 2**62 - 1), CellNoise(self.KEYS, 2**62 - 1)
        first, second = noise.draw(50)[1], noise.draw(50)[1]
        assert torch.equal(first, same.draw(50)[1])
        assert not torch.equal(first, second)
        assert not torch.equal(first, CellNoise(self.KEYS, 5).draw(50)[1])
        assert len(first.flatten().unique()) > 0.99 * first.numel()
