"""Label maps: each policy where objects overlap, and more objects than a byte counts."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.core.labels import merge_masks

FIRST = np.array([[1, 1, 0, 0]], np.uint8)
SECOND = np.array([[0, 1, 1, 0]], np.uint8)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("keep", [[1, 1, 2, 0]]),
        ("overwrite", [[1, 2, 2, 0]]),
        ("overlap", [[[1, 1, 0, 0]], [[0, 1, 1, 0]]]),
    ],
)
def test_policies(policy: str, expected: list[object]) -> None:
    labels = merge_masks([FIRST, SECOND], policy)  # type: ignore[arg-type]
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, expected)


def test_the_earlier_object_keeps_its_voxels_by_default() -> None:
    np.testing.assert_array_equal(merge_masks([FIRST, SECOND]), merge_masks([FIRST, SECOND], "keep"))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float32])
def test_any_value_but_zero_belongs_to_the_object(dtype: type) -> None:
    mask = np.array([[0, 1, 2, 200]]).astype(dtype)
    if np.dtype(dtype).kind in "if":
        mask[0, 3] = -3
    np.testing.assert_array_equal(merge_masks([mask]), [[0, 1, 1, 1]])
    np.testing.assert_array_equal(merge_masks([mask], "overlap"), [[[0, 1, 1, 1]]])


def test_masks_are_left_as_they_were() -> None:
    first, second = FIRST.copy(), SECOND.copy()
    merge_masks([first, second], "overwrite")
    np.testing.assert_array_equal(first, FIRST)
    np.testing.assert_array_equal(second, SECOND)


@pytest.mark.parametrize(("count", "dtype"), [(255, np.uint8), (256, np.uint16), (700, np.uint16)])
def test_more_objects_than_a_byte_holds(count: int, dtype: type) -> None:
    masks = [row.reshape(1, count) for row in np.eye(count, dtype=np.uint8)]
    labels = merge_masks(masks)
    assert labels.dtype == dtype
    np.testing.assert_array_equal(labels[0], np.arange(1, count + 1))


def test_as_many_objects_as_two_bytes_count_and_no_more() -> None:
    empty, last = np.zeros((1, 2), np.uint8), np.array([[0, 1]], np.uint8)
    masks = [empty] * 65534 + [last]
    labels = merge_masks(masks)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, [[0, 65535]])
    with pytest.raises(InputError, match=r"^label map: expected at most 65,535 objects, got 65536$"):
        merge_masks([empty, *masks])


def test_no_object_is_rejected() -> None:
    with pytest.raises(InputError, match=r"^label map: expected at least one object, got none$"):
        merge_masks([])


def test_masks_of_different_shapes_are_rejected() -> None:
    with pytest.raises(InputError, match=r"^label map: expected masks of equal shape, got \{.*\}$") as caught:
        merge_masks([FIRST, SECOND.T])
    assert {"(1, 4)", "(4, 1)"} == set(re.findall(r"\(.*?\)", str(caught.value)))
    with pytest.raises(InputError, match="equal shape"):
        merge_masks([FIRST.T, SECOND])


def test_an_unknown_policy_is_rejected_with_the_choices() -> None:
    with pytest.raises(InputError, match=r"^overlap policy: expected one of keep, overwrite, overlap, got 'union'$"):
        merge_masks([FIRST], "union")  # type: ignore[arg-type]


def test_labels_may_be_any_numbers() -> None:
    masks = [np.array([[1, 0, 0]]), np.array([[1, 1, 0]])]
    np.testing.assert_array_equal(merge_masks(masks, values=[300, 2]), [[300, 2, 0]])
    np.testing.assert_array_equal(merge_masks(masks, "overwrite", [300, 2]), [[2, 2, 0]])
    assert merge_masks(masks, values=[300, 2]).dtype == np.uint16
    for values in ([1], [1, 1], [0, 1], [1, 65_536]):
        with pytest.raises(InputError, match="label"):
            merge_masks(masks, values=values)
