"""Label maps: each policy where objects overlap, and more objects than a byte counts."""

from __future__ import annotations

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


def test_too_many_objects_are_refused() -> None:
    with pytest.raises(InputError, match="65,535"):
        merge_masks([np.zeros((1, 1), np.uint8)] * 65536)


def test_no_object_is_refused() -> None:
    with pytest.raises(InputError, match="at least one object"):
        merge_masks([])


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="equal shape"):
        merge_masks([FIRST, SECOND.T])


def test_an_unknown_policy_is_refused_with_the_choices() -> None:
    with pytest.raises(InputError, match="keep, overwrite, overlap"):
        merge_masks([FIRST], "union")  # type: ignore[arg-type]


def test_labels_may_be_any_numbers() -> None:
    masks = [np.array([[1, 0, 0]]), np.array([[1, 1, 0]])]
    np.testing.assert_array_equal(merge_masks(masks, values=[300, 2]), [[300, 2, 0]])
    np.testing.assert_array_equal(merge_masks(masks, "overwrite", [300, 2]), [[2, 2, 0]])
    assert merge_masks(masks, values=[300, 2]).dtype == np.uint16
    for values in ([1], [1, 1], [0, 1], [1, 65_536]):
        with pytest.raises(InputError, match="label"):
            merge_masks(masks, values=values)
