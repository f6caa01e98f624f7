"""Refinement windows: together they hold the border, and there are not too many of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.engines.window.policy import WindowPolicy
from bedside.engines.window.refine import border_voxels, cover, refinement_windows, thickness
from bedside.imaging.window import Window

Mask = NDArray[np.bool_]


def brute_border(mask: Mask) -> Mask:
    """Voxels of the mask with a neighbour inside the array that is not of it."""
    border = np.zeros_like(mask)
    for index in np.argwhere(mask):
        for axis in range(mask.ndim):
            for step in (-1, 1):
                other = index.copy()
                other[axis] += step
                if 0 <= other[axis] < mask.shape[axis] and not mask[tuple(other)]:
                    border[tuple(index)] = True
    return border


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 9), (13, 11), (6, 7, 8)]))
def test_the_border_is_made_of_the_masks_own_outer_voxels(seed: int, shape: tuple[int, ...]) -> None:
    mask = np.random.default_rng(seed).random(shape) < 0.6
    found = np.zeros(shape, bool)
    found[tuple(border_voxels(mask).T)] = True
    np.testing.assert_array_equal(found, brute_border(mask))
    np.testing.assert_array_equal(border_voxels(mask.astype(np.uint8)), border_voxels(mask))


@given(
    points=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=60, unique=True),
    sides=st.tuples(st.floats(4, 90), st.floats(4, 90)),
    limit=st.integers(1, 40),
)
def test_boxes_cover_every_point_or_there_are_none(
    points: list[tuple[int, int]], sides: tuple[float, float], limit: int
) -> None:
    array = np.array(points)
    centres = cover(array, np.array(sides), limit)
    if centres is None:
        return
    assert 1 <= len(centres) <= limit
    held = np.zeros(len(array), bool)
    for centre in centres:
        held |= (np.abs(array - centre) <= np.array(sides) / 2).all(axis=1)
    assert held.all()


def test_one_box_is_enough_for_what_fits_in_it() -> None:
    points = np.array([(10, 10), (19, 10), (14, 19)])
    centres = cover(points, np.array([10.0, 10.0]), 1)
    assert centres is not None
    np.testing.assert_allclose(centres, [(14.5, 14.5)])


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(2.1, 9.0),
    offset=st.tuples(st.floats(-40, 300), st.floats(-40, 300)),
    limit=st.integers(1, 64),
)
def test_windows_cover_the_border_at_a_finer_scale(
    seed: int, scale: float, offset: tuple[float, float], limit: int
) -> None:
    coarse = Window(offset, tuple(a + 32 * scale for a in offset), (32, 32))
    region = coarse.region((500, 500))
    if region.is_empty:
        return
    logits = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((32, 32)), 3.0).astype(np.float32)
    logits -= np.quantile(logits, 0.8)
    mask = coarse.expand_mask(logits, region)
    windows = list(refinement_windows(logits > 0, coarse, WindowPolicy(refine_limit=limit)))
    assert len(windows) <= limit
    if not windows:
        return
    covered = np.zeros((500, 500), bool)
    for window in windows:
        covered[window.region((500, 500)).slices] = True
        assert window.grid == coarse.grid
        assert max(window.scale) < 0.75 * scale
        assert max(window.scale) >= 0.99
    border = border_voxels(mask) + np.array(region.start)
    if not len(border):
        return
    # A sliver of an object between the centres of cells that are all outside has no cell to be found by.
    assert covered[tuple(border.T)].mean() > 0.97


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_compact_object_gets_windows_of_one_voxel_per_cell(dimensions: int) -> None:
    offsets = np.indices((32,) * dimensions) - 16
    mask = (offsets**2).sum(axis=0) <= 6**2
    coarse = Window((0.0,) * dimensions, (100.0,) * dimensions, (32,) * dimensions)
    windows = list(refinement_windows(mask, coarse, WindowPolicy(refine_limit=64)))
    assert windows
    assert windows[0].scale == pytest.approx((1.0,) * dimensions)


def test_windows_with_most_border_come_first() -> None:
    cells = np.zeros((40, 40), bool)
    cells[2:12, 2:12] = True
    cells[30:31, 30:31] = True
    coarse = Window((0.0, 0.0), (200.0, 200.0), (40, 40))
    windows = list(refinement_windows(cells, coarse, WindowPolicy(refine_limit=40)))
    border = np.zeros((200, 200), bool)
    border[tuple(border_voxels(np.kron(cells, np.ones((5, 5)))).T)] = True
    counts = [int(border[w.region((200, 200)).slices].sum()) for w in windows]
    assert counts[0] >= 0.7 * max(counts)
    assert counts[-1] <= counts[0]


@pytest.mark.parametrize("mask", [np.zeros((40, 40)), np.ones((40, 40))])
def test_without_a_border_there_is_nothing_to_refine(mask: Mask) -> None:
    coarse = Window((0.0, 0.0), (120.0, 120.0), (40, 40))
    assert not list(refinement_windows(mask, coarse, WindowPolicy()))


def test_anisotropic_windows_keep_their_proportions() -> None:
    mask = np.zeros((32, 32, 32), bool)
    mask[8:24, 10:22, 10:22] = True
    coarse = Window((0.0, 0.0, 0.0), (40.0, 200.0, 200.0), (32, 32, 32))
    windows = list(refinement_windows(mask, coarse, WindowPolicy(refine_limit=64)))
    assert windows
    for window in windows:
        assert window.sides[1] / window.sides[0] == pytest.approx(5.0)


@pytest.mark.parametrize("side", [1, 2, 3, 8, 21])
def test_thickness_tells_lines_from_areas(side: int) -> None:
    line = np.zeros((60, 60), np.uint8)
    line[30 : 30 + side, 5:55] = 1
    border = np.count_nonzero(brute_border(line))
    assert thickness(line) == pytest.approx(50 * side / border)
    many = np.zeros((60, 60), np.uint8)
    for y in range(0, 60, 4):
        many[y : y + 2, ::4] = 1
    assert thickness(many) == 1.0
    assert thickness(0 * many) == 0.0
