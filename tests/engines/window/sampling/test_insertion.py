from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from bedside.engines.window.sampling.insertion import EXTENTS, insert_shape

GRID = 48


def background(axes: int, channels: int = 1) -> torch.Tensor:
    noise = np.random.default_rng(0).standard_normal((channels, *(GRID,) * axes))
    smooth = ndimage.gaussian_filter(noise, (0, *(4,) * axes))
    return torch.from_numpy((100 + 200 * smooth).astype(np.float32))


@pytest.mark.parametrize(("axes", "channels"), [(2, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize("mode", sorted(EXTENTS))
def test_a_shape_changes_the_image_where_it_lies_and_nowhere_else(axes: int, channels: int, mode: str) -> None:
    image = background(axes, channels)
    for seed in range(6):
        before = image.clone()
        drawn, truth = insert_shape(image, mode, np.random.default_rng(seed))
        assert torch.equal(image, before)
        assert drawn.shape == image.shape
        assert truth.shape == image.shape[1:]
        assert truth.dtype == np.uint8
        assert set(np.unique(truth)) <= {0, 1}
        changed = (drawn != image).any(dim=0).numpy()
        if mode != "close":
            assert not changed[tuple(slice(0, 1) for _ in range(axes))].all() or changed.mean() < 0.9
        # A core may be meant without having been painted: what surrounds it has.
        meant = ndimage.binary_dilation(truth, iterations=3)
        assert not truth.any() or (changed & meant).any()


def test_what_is_drawn_can_be_seen() -> None:
    image = background(2)
    spread = float(image.quantile(0.98) - image.quantile(0.02))
    differences = []
    for seed in range(40):
        drawn, truth = insert_shape(image, "box", np.random.default_rng(seed))
        changed = (drawn - image).abs()[0].numpy()
        if truth.sum() > 12:
            differences.append(changed[changed > 0].mean() / spread)
    assert np.median(differences) > 0.15


def test_the_same_seed_gives_the_same_image() -> None:
    first, again = (insert_shape(background(2), "wide", np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
