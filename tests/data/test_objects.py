from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bedside.core.errors import InputError
from bedside.core.region import Region, mask_region
from bedside.data.objects import (
    ObjectReference,
    choose,
    coarsest_axis,
    enumerate_objects,
    largest_slice,
    stable_generator,
)


def squares(count: int, side: int = 4) -> np.ndarray:
    """Label 1 in ``count`` separate squares."""
    labels = np.zeros((side + 2, count * (side + 2)), np.uint8)
    for n in range(count):
        labels[1 : 1 + side, n * (side + 2) + 1 : n * (side + 2) + 1 + side] = 1
    return labels


def test_a_semantic_label_is_one_object_with_all_its_parts():
    (found,) = enumerate_objects(squares(8), "semantic")
    assert found == ObjectReference(1, Region((1, 1), (5, 47)), 8 * 16)
    assert found.name == "1"


def test_more_than_eight_parts_are_a_population():
    labels = squares(9)
    found = enumerate_objects(labels, "semantic")
    assert [o.name for o in found] == [f"1.{n}" for n in range(1, 10)]
    assert {o.size for o in found} == {16}
    np.testing.assert_array_equal(sum(o.mask(labels).astype(int) for o in found), labels)


def test_small_parts_make_no_population_and_are_no_members():
    assert len(enumerate_objects(squares(9, side=3), "semantic")) == 1
    mixed = np.concatenate([squares(9), np.pad(squares(3, side=2), ((0, 0), (0, 42)))])
    assert len(enumerate_objects(mixed, "semantic")) == 9


def test_a_part_with_half_of_the_foreground_makes_no_population():
    tree = np.concatenate([squares(9), np.zeros((8, 54), np.uint8)])
    tree[7:13, 1:25] = 1  # as large as the nine squares together
    assert len(enumerate_objects(tree, "semantic")) == 1
    tree[7, 1] = 0
    assert len(enumerate_objects(tree, "semantic")) == 10


def test_corners_connect():
    labels = np.zeros((10, 60), np.uint8)
    for n in range(9):
        labels[1:4, 6 * n : 6 * n + 3] = 1
        labels[4:7, 6 * n + 3 : 6 * n + 6] = 1
    assert {o.size for o in enumerate_objects(labels, "semantic")} == {9 * 18}


def test_an_instance_is_an_object_with_all_its_parts():
    labels = squares(9).astype(np.uint16)
    labels[labels.shape[0] // 2 :, :] *= 300
    found = enumerate_objects(labels, "instance")
    assert [o.label for o in found] == [1, 300]


def test_neighbours_in_a_part_s_region_are_left_out():
    labels = squares(9)
    labels[0, :7] = 1  # an arm of the first square reaches over the gap
    labels[0, 7] = 0
    for found in enumerate_objects(labels, "semantic"):
        assert np.count_nonzero(found.crop(labels)) == found.size
        assert mask_region(found.mask(labels)) == found.region


def test_labels_must_be_integers():
    with pytest.raises(InputError):
        enumerate_objects(np.zeros((3, 3)), "semantic")


def test_an_empty_label_map_has_no_objects():
    assert enumerate_objects(np.zeros((3, 3, 3), np.uint8), "semantic") == []


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=3, min_side=3, max_side=14), elements=st.integers(0, 2)))
def test_objects_are_disjoint_and_cover_all_but_small_parts(labels):
    for kind in ("semantic", "instance"):
        found = enumerate_objects(labels, kind)
        cover = np.zeros(labels.shape, int)
        for reference in found:
            mask = reference.mask(labels)
            assert mask.sum() == reference.size
            assert mask_region(mask) == reference.region
            assert (labels[mask] == reference.label).all()
            cover += mask
        assert cover.max(initial=0) <= 1
        if all(o.part == 0 for o in found):
            np.testing.assert_array_equal(cover > 0, labels > 0)


def test_choice_is_the_same_in_every_process():
    items = list(range(50))
    here = choose(items, 5, stable_generator("objects", "set", "case"))
    assert here == sorted(here)
    assert len(set(here)) == 5
    code = (
        "from bedside.data.objects import *\n"
        "print(choose(list(range(50)), 5, stable_generator('objects', 'set', 'case')))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert str(here) == there.strip()
    assert here != choose(items, 5, stable_generator("objects", "set", "other"))


def test_few_items_are_all_chosen():
    assert choose([3, 1], 5, stable_generator(0)) == [3, 1]


def test_generator_parts_do_not_run_together():
    assert stable_generator("ab", "c").random() != stable_generator("a", "bc").random()


def test_the_coarsest_axis_is_sliced_across():
    assert coarsest_axis((5.0, 0.5, 0.5)) == 0
    assert coarsest_axis((0.5, 0.5, 5.0)) == 2
    assert coarsest_axis((1.0, 1.0000000001, 1.0)) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_largest_slice(axis):
    labels = np.zeros((9, 10, 11), np.uint8)
    labels[2:5, 2:5, 2:5] = 1
    where = [slice(1, 7)] * 3
    where[axis] = slice(4, 5)
    labels[tuple(where)] = 1
    (reference,) = enumerate_objects(labels, "semantic")
    plane, mask, region = largest_slice(labels, reference, axis)
    assert (plane.axis, plane.index) == (axis, 4)
    assert region == Region((1, 1), (7, 7))
    assert mask.all()
    np.testing.assert_array_equal(plane.of(labels)[region.slices] == 1, mask)
