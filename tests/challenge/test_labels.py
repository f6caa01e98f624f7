from __future__ import annotations

import numpy as np
import pytest

from bedside.challenge.labels import (
    CLEANINGS,
    Cleaning,
    clean_labels,
    drop_labels,
    labelled_slices,
    relabel,
    split_instances,
)
from bedside.core.errors import InputError


def volume():
    """Label 1: 12 x 12 x 8 = 1152 voxels and, apart, 5 x 5 x 6 = 150; label 2: 10 x 5 x 25 touching the latter."""
    labels = np.zeros((10, 40, 40), np.uint16)
    labels[0:8, 0:12, 0:12] = 1
    labels[0:6, 20:25, 20:25] = 1
    labels[0:5, 25:35, 10:35] = 2
    return labels


def test_small_parts_go_label_by_label():
    # By the thresholds of 2024 the part of 150 voxels goes though it touches label 2.
    cleaned = clean_labels(volume(), CLEANINGS["2024"])
    assert not cleaned[:, 20:25, 20:25].any()
    assert np.count_nonzero(cleaned == 1) == 1152
    assert np.count_nonzero(cleaned == 2) == 1250
    np.testing.assert_array_equal(clean_labels(volume(), CLEANINGS["2025"]), volume())
    np.testing.assert_array_equal(clean_labels(volume(), CLEANINGS["none"]), volume())


@pytest.mark.parametrize(("threshold", "kept"), [(150, True), (151, False)])
def test_a_part_of_exactly_the_threshold_stays(threshold, kept):
    assert clean_labels(volume(), Cleaning(threshold, 0))[0, 22, 22] == (1 if kept else 0)


def test_slices_are_cleaned_one_by_one():
    labels = np.zeros((3, 20, 20), np.uint16)
    labels[:, :12, :12] = 4
    labels[1] = 0
    labels[1, 3:6, 3:6] = 4
    # Connected over the slices, so that only the second step takes the 9 pixels.
    cleaned = clean_labels(labels, Cleaning(100, 10))
    assert np.count_nonzero(cleaned, axis=(1, 2)).tolist() == [144, 0, 144]
    np.testing.assert_array_equal(clean_labels(labels, Cleaning(100, 9)), labels)


def test_diagonal_neighbours_belong_together_and_input_is_kept():
    labels = np.zeros((2, 8, 8), np.uint16)
    labels[0, :4, :4] = 1
    labels[1, 4:, 4:] = 1
    before = labels.copy()
    assert clean_labels(labels, Cleaning(32, 0)).any()
    assert not clean_labels(labels, Cleaning(33, 0)).any()
    np.testing.assert_array_equal(labels, before)
    picture = np.eye(5, dtype=np.uint16)
    np.testing.assert_array_equal(clean_labels(picture, CLEANINGS["2024"]), picture)


def test_dropping_splitting_and_numbering():
    labels = np.array([[3, 3, 0, 3, 0, 9, 12]], np.uint16)
    assert drop_labels(labels, [12, 5]).tolist() == [[3, 3, 0, 3, 0, 9, 0]]
    assert split_instances(labels, 3).tolist() == [[3, 3, 0, 13, 0, 9, 12]]
    again, values = relabel(labels)
    assert again.tolist() == [[1, 1, 0, 1, 0, 2, 3]]
    assert values == (3, 9, 12)
    assert again.dtype == np.uint8
    assert relabel(np.arange(400, dtype=np.uint16) * 2)[0].max() == 399
    with pytest.raises(InputError):
        split_instances(np.array([[65535, 0, 65535]], np.uint16), 65535)


def test_labelled_slices():
    labels = np.zeros((4, 2, 2))
    labels[[0, 3]] = 1
    assert labelled_slices(labels).tolist() == [0, 3]
