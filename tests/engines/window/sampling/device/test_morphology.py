from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.region import mask_region
from bedside.engines.window.sampling.device import morphology
from bedside.simulate import components


def spiral(size: int) -> NDArray[np.bool_]:
    """One path a cell wide that winds inward, with walls a cell wide."""
    mask = np.zeros((size, size), dtype=bool)
    y, x, direction = 0, 0, 0
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    mask[0, 0] = True
    length, turned = size - 1, 0
    while length > 0:
        for _ in range(length):
            y, x = y + steps[direction][0], x + steps[direction][1]
            mask[y, x] = True
        direction, turned = (direction + 1) % 4, turned + 1
        if turned >= 3 and turned % 2:
            length -= 2
    return mask


def masks(grid: tuple[int, ...]) -> NDArray[np.bool_]:
    generator = np.random.default_rng(0)
    smooth = [ndimage.gaussian_filter(generator.standard_normal(grid), s) for s in (0.8, 1.5, 3.0, 5.0)]
    made = [s > np.quantile(s, q) for s in smooth for q in (0.3, 0.6, 0.9)]
    return np.stack([*made, np.ones(grid, dtype=bool), np.zeros(grid, dtype=bool)])


GRIDS = [(48, 48), (40, 56), (20, 24, 22)]


@pytest.mark.parametrize("grid", GRIDS)
def test_distances_are_euclidean(grid: tuple[int, ...]) -> None:
    made = masks(grid)
    for row, mask in zip(morphology.depth(torch.from_numpy(made)), made, strict=True):
        np.testing.assert_allclose(row.numpy(), components.depth(mask), atol=1e-4)
    got = morphology.squared_distance(torch.from_numpy(made[:-2]), border=False).sqrt()
    for row, mask in zip(got, made, strict=False):
        np.testing.assert_allclose(row.numpy(), ndimage.distance_transform_edt(mask), atol=1e-4)


@pytest.mark.parametrize("border", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_distances_are_the_same_on_a_gpu(grid: tuple[int, ...], border: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = torch.from_numpy(masks(grid))
    expected = morphology.squared_distance(made, border=border)
    monkeypatch.setattr(morphology, "_least_by_steps", morphology.least_by_matrix)
    assert torch.equal(morphology.squared_distance(made, border=border), expected)


@pytest.mark.parametrize("grid", GRIDS)
def test_the_largest_part_is_that_of_the_reference(grid: tuple[int, ...]) -> None:
    made = masks(grid)
    got = morphology.largest_part(torch.from_numpy(made)).numpy()
    for part, mask in zip(got, made, strict=True):
        # Of parts of one size either is the largest.
        assert part.sum() == components.largest_component(mask)[0].sum()
        if mask.any():
            assert components.label_components(part)[1] == 1


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_parts_are_numbered(grid: tuple[int, ...], full: bool) -> None:
    made = masks(grid)
    got = morphology.label_parts(torch.from_numpy(made), full=full).numpy()
    for labels, mask in zip(got, made, strict=True):
        _, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim) if full else None)
        assert len(np.unique(labels[labels > 0])) == count
        assert np.array_equal(labels > 0, mask)


@pytest.mark.parametrize("size", [63, 127])
def test_a_spiral_is_one_part(size: int) -> None:
    mask = torch.from_numpy(spiral(size))[None]
    for turned in (mask, mask.transpose(1, 2), mask.flip(1), mask.flip((1, 2))):
        assert bool((morphology.largest_part(turned) == turned).all())


@pytest.mark.parametrize("grid", GRIDS)
def test_holes_are_filled(grid: tuple[int, ...]) -> None:
    made = masks(grid)
    got = morphology.fill_holes(torch.from_numpy(made)).numpy()
    for filled, mask in zip(got, made, strict=True):
        np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("grid", GRIDS)
def test_bounds_are_those_of_the_mask(grid: tuple[int, ...]) -> None:
    made = masks(grid)[:-1]
    start, stop = morphology.bounds(torch.from_numpy(made))
    for mask, low, high in zip(made, start, stop, strict=True):
        region = mask_region(mask)
        assert low.tolist() == list(region.start)
        assert high.tolist() == list(region.stop)


def test_cells_are_picked_in_proportion_to_their_weights() -> None:
    weights = torch.tensor([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]]).expand(20_000, 2, 3)
    uniform = torch.rand((20_000, 6), generator=torch.Generator().manual_seed(0)).clamp(1e-7, 1 - 1e-7)
    places = morphology.pick_cells(weights, uniform)
    counts = torch.bincount(places[:, 0] * 3 + places[:, 1], minlength=6) / 20_000
    torch.testing.assert_close(counts, weights[0].flatten() / 8, atol=0.015, rtol=0)
