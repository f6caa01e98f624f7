from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bedside.engines.window.sampling.shapes import (
    KINDS,
    random_group,
    random_shape,
    random_shell,
    random_tree,
    stamp,
    stamp_balls,
)

GRID = 48
AXES = (2, 3)
SUMS = [(2, 1021.05, 1445.33), (3, 10798.37, 24428.04)]
"""By axes: coverage and object of eight shapes, summed, noted when balls were stamped one after the other."""


def whole(axes: int) -> np.ndarray:
    return np.ones((3,) * axes)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("extent", [0.4, 1.5])
def test_shapes_fill_the_contract(axes: int, extent: float) -> None:
    for seed in range(12):
        shape = random_shape(GRID, axes, extent, np.random.default_rng(seed))
        for layer in (shape.coverage, shape.object, shape.core):
            assert layer.shape == (GRID,) * axes
            assert layer.dtype == np.float32
            assert 0 <= layer.min() <= layer.max() <= 1
        # What is meant is seen, or lies within what is seen.
        assert np.all(shape.object <= np.maximum(shape.coverage, shape.core) + 1e-6)


def test_the_same_seed_gives_the_same_shape() -> None:
    for seed in range(4):
        first, again = (random_shape(GRID, 2, 0.7, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(first.coverage, again.coverage)
        assert np.array_equal(first.object, again.object)
    assert len(KINDS) == 3


@pytest.mark.parametrize("axes", AXES)
def test_trees_are_thin_and_hang_together(axes: int) -> None:
    grown = 0
    for seed in range(12):
        tree = random_tree(GRID, axes, 0.8, np.random.default_rng(seed)).object > 0.25
        if tree.sum() < 30:
            continue
        grown += 1
        parts, count = ndimage.label(tree, whole(axes))
        sizes = np.bincount(parts.ravel())[1:]
        # Branches that leave the grid may come back as pieces of their own.
        assert sizes.max() > 0.7 * sizes.sum(), count
        assert ndimage.distance_transform_edt(np.pad(tree, 1)).max() < 0.12 * GRID
    assert grown > 8


@pytest.mark.parametrize("axes", AXES)
def test_groups_are_many_and_sometimes_one_is_meant(axes: int) -> None:
    alone, several = 0, 0
    for seed in range(60):
        group = random_group(GRID, axes, 0.8, np.random.default_rng(seed))
        seen = ndimage.label(group.coverage > 0.25, whole(axes))[1]
        meant = ndimage.label(group.object > 0.25, whole(axes))[1]
        several += seen > 3
        if not np.array_equal(group.coverage, group.object):
            alone += 1
            assert meant <= 2
            others = (group.coverage > 0.25) & (group.object <= 0.25)
            assert not (ndimage.binary_dilation(group.object > 0.5) & (group.object <= 0.25) & others).all()
    assert several > 20
    assert 3 < alone < 30


def test_shells_are_closed_and_sometimes_their_inside_is_meant() -> None:
    inside = 0
    for seed in range(40):
        shell = random_shell(GRID, 2, 0.7, np.random.default_rng(seed))
        held = ndimage.binary_fill_holes(shell.coverage > 0.05) & (shell.coverage <= 0.05)
        assert held.any() or (shell.core > 0.5).sum() < 9
        inside += np.array_equal(shell.object, shell.core)
    assert 4 < inside < 28


def test_stamps_are_ellipsoids_with_soft_borders() -> None:
    cells = np.zeros((24, 32), dtype=np.float32)
    stamp(cells, np.array([12.0, 16.0]), np.array([6.0, 10.0]))
    assert cells.sum() == pytest.approx(np.pi * 60, rel=0.04)
    assert cells[12, 16] == 1
    assert cells[:, :3].max() == 0


def test_stamps_beyond_the_grid_leave_it_alone() -> None:
    cells = np.zeros((8, 8, 8), dtype=np.float32)
    stamp(cells, np.array([40.0, 4.0, 4.0]), np.array([3.0, 3.0, 3.0]))
    assert not cells.any()
    stamp(cells, np.array([8.5, 4.0, 4.0]), np.array([2.0, 2.0, 2.0]))
    assert cells[7].any()
    assert not cells[:5].any()


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("balls", [0, 2, 150])
def test_many_balls_are_stamped_as_each_alone(axes: int, balls: int) -> None:
    generator = np.random.default_rng(axes)
    places, radii = generator.uniform(-6, 30, (balls, axes)), np.exp(generator.uniform(-1, 1.5, balls))
    many, each = (np.zeros((24, 20, 28)[:axes], dtype=np.float32) for _ in range(2))
    stamp_balls(many, places, radii)
    for place, radius in zip(places, radii, strict=True):
        stamp(each, place, np.full(axes, radius))
    np.testing.assert_allclose(many, each, rtol=0, atol=1e-6)
    assert balls < 3 or many.any()


@pytest.mark.parametrize(("axes", "seen", "meant"), SUMS)
def test_shapes_are_those_that_have_always_been_drawn(axes: int, seen: float, meant: float) -> None:
    shapes = [random_shape(32, axes, 0.3 + 0.2 * seed, np.random.default_rng(seed)) for seed in range(8)]
    assert sum(float(s.coverage.sum(dtype=np.float64)) for s in shapes) == pytest.approx(seen, rel=1e-4)
    assert sum(float(s.object.sum(dtype=np.float64)) for s in shapes) == pytest.approx(meant, rel=1e-4)
