"""Components and centres, against their definitions written out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from bedside.simulate.components import depth, label_components, largest_component, pick_centre

Mask = NDArray[np.bool_]


def random_masks(side: int = 7) -> st.SearchStrategy[Mask]:
    """Masks of 2 or 3 axes, empty and full ones included."""
    shapes = st.integers(2, 3).flatmap(lambda n: st.tuples(*[st.integers(1, side)] * n))
    return shapes.flatmap(lambda shape: npst.arrays(np.bool_, shape))


def flood_components(mask: Mask) -> list[set[tuple[int, ...]]]:
    """Components by flooding from voxel to voxel, neighbours across corners included."""
    left = {tuple(int(i) for i in index) for index in np.argwhere(mask)}
    found = []
    while left:
        part, border = set(), [left.pop()]
        while border:
            voxel = border.pop()
            part.add(voxel)
            for step in product((-1, 0, 1), repeat=mask.ndim):
                other = tuple(a + b for a, b in zip(voxel, step, strict=True))
                if other in left:
                    left.remove(other)
                    border.append(other)
        found.append(part)
    return found


@given(random_masks())
def test_components_are_those_of_a_flood(mask: Mask) -> None:
    labels, count = label_components(mask)
    parts = {frozenset(tuple(map(int, i)) for i in np.argwhere(labels == k)) for k in range(1, count + 1)}
    assert parts == {frozenset(part) for part in flood_components(mask)}


@given(random_masks(), st.sampled_from([np.bool_, np.uint8, np.uint16]))
def test_the_largest_component_is_cropped_and_placed(mask: Mask, dtype: type[np.generic]) -> None:
    part, region = largest_component(mask.astype(dtype))
    components = flood_components(mask)
    if not components:
        assert region.is_empty
        assert part.size == 0
        return
    pasted = np.zeros(mask.shape, bool)
    pasted[region.slices] = part
    assert part.dtype == bool
    assert part.shape == region.shape
    voxels = {tuple(map(int, i)) for i in np.argwhere(pasted)}
    assert voxels in components
    assert len(voxels) == max(map(len, components))
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        assert np.asarray(part.any(axis=others))[[0, -1]].all()


@given(random_masks())
def test_depth_is_the_distance_to_the_nearest_voxel_outside(mask: Mask) -> None:
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    expected = np.zeros(mask.shape)
    for index in np.argwhere(mask):
        expected[tuple(index)] = np.sqrt(((outside - index) ** 2).sum(axis=1).min())
    np.testing.assert_allclose(depth(mask), expected, atol=1e-9)


@given(random_masks(), st.integers(0, 2**32 - 1))
def test_the_centre_is_a_deepest_voxel_and_depends_on_the_seed_alone(mask: Mask, seed: int) -> None:
    if not mask.any():
        return
    index = pick_centre(mask, np.random.default_rng(seed))
    assert depth(mask)[index] == depth(mask).max()
    assert index == pick_centre(mask.copy(), np.random.default_rng(seed))
    assert all(type(i) is int for i in index)


def test_a_single_deepest_voxel_is_taken_whatever_the_seed() -> None:
    mask = np.zeros((11, 15), bool)
    mask[1:10, 3:12] = True
    assert {pick_centre(mask, np.random.default_rng(seed)) for seed in range(20)} == {(5, 7)}


def test_ties_are_drawn_evenly() -> None:
    mask = np.zeros((12, 12), bool)
    mask[2:10, 2:10] = True
    generator = np.random.default_rng(0)
    drawn = [pick_centre(mask, generator) for _ in range(400)]
    counts = [drawn.count(index) for index in ((5, 5), (5, 6), (6, 5), (6, 6))]
    assert sum(counts) == 400
    assert min(counts) > 60


@given(random_masks(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 8.0, 200.0]))
def test_a_drawn_centre_lies_on_the_mask(mask: Mask, seed: int, sharpness: float) -> None:
    if mask.any():
        assert mask[pick_centre(mask, np.random.default_rng(seed), sharpness)]


def test_sharpness_draws_the_centre_towards_the_middle() -> None:
    mask = np.ones((41, 41), bool)
    means = []
    for sharpness in (1.0, 8.0, 100.0):
        generator = np.random.default_rng(1)
        means.append(np.mean([depth(mask)[pick_centre(mask, generator, sharpness)] for _ in range(200)]))
    assert means[0] < means[1] < means[2]
    assert means[2] == pytest.approx(21, abs=1.0)
