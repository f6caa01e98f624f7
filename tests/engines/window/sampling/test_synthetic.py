from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from bedside.engines.window.sampling.synthetic import LARGEST_SHARE, random_regions, random_tube, synthetic_window

GRID = 32


def test_volumes_hold_an_object_of_sensible_size_in_one_piece() -> None:
    made = 0
    for seed in range(80):
        volume = synthetic_window((1, GRID, GRID, GRID), np.random.default_rng(seed))
        if volume is None:
            continue
        made += 1
        image, truth = volume
        assert image.shape == (1, *truth.shape) == (1, *(GRID,) * 3)
        assert image.dtype == torch.float32
        assert truth.dtype == np.uint8
        assert bool(image.isfinite().all())
        assert 20 <= truth.sum() <= LARGEST_SHARE * truth.size
        assert ndimage.label(truth, np.ones((3, 3, 3)))[1] == 1
    assert made > 40


@pytest.mark.parametrize("channels", [1, 3])
def test_images_hold_an_object_in_one_piece(channels: int) -> None:
    made = [synthetic_window((channels, GRID, GRID), np.random.default_rng(seed)) for seed in range(40)]
    found = [window for window in made if window is not None]
    assert len(found) > 20
    for image, truth in found:
        assert image.shape == (channels, GRID, GRID)
        assert truth.shape == (GRID, GRID)
        assert bool(image.isfinite().all())
        assert 20 <= truth.sum() <= LARGEST_SHARE * truth.size
        assert ndimage.label(truth, np.ones((3, 3)))[1] == 1


def test_objects_can_be_told_from_what_touches_them() -> None:
    contrasts = []
    for seed in range(40):
        volume = synthetic_window((1, GRID, GRID, GRID), np.random.default_rng(seed))
        if volume is None:
            continue
        image, truth = volume[0][0].numpy(), volume[1] > 0
        core = ndimage.binary_erosion(truth)
        core = core if core.any() else truth
        rim = ndimage.binary_dilation(truth, iterations=3) & ~ndimage.binary_dilation(truth)
        if rim.any():
            contrasts.append(abs(image[core].mean() - np.median(image[rim])))
    assert np.median(contrasts) > 0.12
    assert np.mean(np.array(contrasts) < 0.03) < 0.15


def test_the_same_seed_gives_the_same_volume() -> None:
    made = [synthetic_window((1, GRID, GRID, GRID), np.random.default_rng(1)) for _ in range(2)]
    other = synthetic_window((1, GRID, GRID, GRID), np.random.default_rng(3))
    assert made[0] is not None
    assert made[1] is not None
    assert torch.equal(made[0][0], made[1][0])
    assert np.array_equal(made[0][1], made[1][1])
    assert other is None or not torch.equal(made[0][0], other[0])


def test_regions_are_a_smooth_partition() -> None:
    for seed in range(5):
        regions = random_regions(GRID, 3, np.random.default_rng(seed))
        assert regions.shape == (GRID,) * 3
        assert 3 <= len(np.unique(regions)) <= 8
        assert np.mean(np.diff(regions, axis=0) != 0) < 0.3


def test_tubes_are_thin() -> None:
    for seed in range(20):
        tube = random_tube(GRID, 3, np.random.default_rng(seed))
        assert tube.any()
        # Where it leaves the grid and comes back, there are two pieces.
        assert ndimage.label(tube, np.ones((3, 3, 3)))[1] <= 2
        assert ndimage.distance_transform_edt(np.pad(tube, 1)).max() <= 0.08 * GRID + 1
