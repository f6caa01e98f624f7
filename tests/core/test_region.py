"""Regions: every operation says what the same operation on masks says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.region import Region, changed_region, mask_region

SHAPE = (4, 5, 6)


def regions(low: int = 0, shape: tuple[int, ...] = SHAPE) -> st.SearchStrategy[Region]:
    """Regions with corners from ``low`` to the shape: full ones, and some that are empty or inverted."""
    corner = st.tuples(*[st.integers(low, n) for n in shape])
    pairs = st.tuples(*[st.lists(st.integers(low, n), min_size=2, max_size=2, unique=True).map(sorted) for n in shape])
    full = pairs.map(lambda p: Region(tuple(a for a, _ in p), tuple(b for _, b in p)))
    return st.one_of(full, st.builds(Region, corner, corner))


def painted(region: Region, shape: tuple[int, ...] = SHAPE) -> NDArray[np.bool_]:
    """The mask of ``region``, written voxel by voxel and not by the slices under test."""
    mask = np.zeros(shape, bool)
    for index in np.ndindex(shape):
        mask[index] = region.contains(index)
    return mask


@given(regions())
def test_slices_shape_and_emptiness_agree_with_the_mask(region: Region) -> None:
    mask = painted(region)
    cut = np.zeros(SHAPE, bool)
    cut[region.slices] = True
    np.testing.assert_array_equal(cut, mask)
    assert mask[region.slices].shape == region.shape
    assert region.is_empty == (not mask.any())
    assert np.prod(region.shape) == mask.sum()


@given(regions(low=-8), st.tuples(*[st.integers(1, 5)] * 3))
def test_clip_keeps_what_lies_inside(region: Region, shape: tuple[int, ...]) -> None:
    clipped = region.clip(shape)
    assert all(0 <= a <= n and 0 <= b <= n for a, b, n in zip(clipped.start, clipped.stop, shape, strict=True))
    np.testing.assert_array_equal(painted(clipped, shape), painted(region, shape))


@given(regions(), regions())
def test_union_is_the_bounding_region_of_both(a: Region, b: Region) -> None:
    union = a.union(b)
    expected = mask_region(painted(a) | painted(b))
    assert union.is_empty == expected.is_empty
    if not expected.is_empty:
        assert union == expected
    assert union.is_empty or union == b.union(a)


@given(regions(), regions())
def test_intersection_holds_what_both_hold(a: Region, b: Region) -> None:
    common = a.intersection(b)
    np.testing.assert_array_equal(painted(common), painted(a) & painted(b))
    assert common == b.intersection(a)
    assert a.intersection(a) == a
    assert common.is_empty == (not (painted(a) & painted(b)).any())


@given(regions(), st.tuples(*[st.integers(-9, 9)] * 3))
def test_shift_moves_and_back_is_the_identity(region: Region, offset: tuple[int, ...]) -> None:
    moved = region.shift(offset)
    assert moved.shape == region.shape
    assert moved.contains(offset) == region.contains((0, 0, 0))
    assert moved.shift([-o for o in offset]) == region


@given(regions())
def test_mask_region_of_a_painted_region_is_that_region(region: Region) -> None:
    found = mask_region(painted(region))
    if region.is_empty:
        assert found == Region.empty(3)
    else:
        assert found == region


@given(st.integers(0, 2**32 - 1), st.sampled_from([(7,), (4, 5), SHAPE]))
def test_mask_region_is_tight(seed: int, shape: tuple[int, ...]) -> None:
    mask = np.random.default_rng(seed).random(shape) < 0.05
    region = mask_region(mask)
    outside = mask.copy()
    outside[region.slices] = False
    assert not outside.any()
    if not region.is_empty:
        for axis in range(mask.ndim):
            inside = np.moveaxis(mask[region.slices], axis, 0)
            assert inside[0].any()
            assert inside[-1].any()


def test_changed_region_holds_every_difference() -> None:
    before = np.zeros(SHAPE, np.uint8)
    after = before.copy()
    assert changed_region(before, after).is_empty
    after[1, 2, 3] = 1
    after[3, 2, 4] = 2
    assert changed_region(before, after) == Region((1, 2, 3), (4, 3, 5))
    assert changed_region(after, before) == changed_region(before, after)


def test_whole_and_empty() -> None:
    assert Region.whole(SHAPE) == Region((0, 0, 0), SHAPE)
    assert Region.whole(SHAPE).contains((3, 4, 5))
    assert not Region.whole(SHAPE).contains((4, 4, 5))
    assert Region.empty(2) == Region((0, 0), (0, 0))
    assert Region.empty(2).is_empty
    assert Region.empty(2).shape == (0, 0)


def test_regions_of_different_dimensions_do_not_mix() -> None:
    flat, deep = Region.whole((3, 3)), Region.whole((3, 3, 3))
    mixed = (
        lambda: flat.union(deep),
        lambda: flat.intersection(deep),
        lambda: flat.clip((3, 3, 3)),
        lambda: flat.shift((1, 1, 1)),
        lambda: flat.contains((1, 1, 1)),
    )
    for operation in mixed:
        with pytest.raises(ValueError, match="zip"):
            operation()
