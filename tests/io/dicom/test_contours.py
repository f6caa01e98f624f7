"""Contours of masks and masks of contours, against counting and plain even-odd filling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from bedside.io.dicom.contours import contours_of, mask_of

MASKS = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.integers(0, 1))


def even_odd(contours: list[NDArray[np.float64]], y: float, x: float) -> bool:
    """Whether a point lies inside, by counting the edges to its left: the textbook's rule, edge by edge."""
    crossings = 0
    for points in contours:
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if (y0 <= y) != (y1 <= y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x:
                crossings += 1
    return crossings % 2 == 1


@settings(max_examples=150, deadline=None)
@given(MASKS, st.booleans())
def test_every_mask_comes_back(mask: NDArray[np.uint8], keyhole: bool) -> None:
    contours = contours_of(mask, keyhole=keyhole)
    shape = (mask.shape[0], mask.shape[1])
    np.testing.assert_array_equal(mask_of(contours, shape), mask)
    np.testing.assert_array_equal(mask_of(contours, shape, alternate=True), mask)


@settings(max_examples=60, deadline=None)
@given(MASKS, st.booleans())
def test_a_textbook_filler_sees_the_same(mask: NDArray[np.uint8], keyhole: bool) -> None:
    contours = contours_of(mask, keyhole=keyhole)
    filled = [[even_odd(contours, y, x) for x in range(mask.shape[1])] for y in range(mask.shape[0])]
    np.testing.assert_array_equal(np.array(filled), mask)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_with_keyholes_there_is_one_contour_for_each_part(mask: NDArray[np.uint8]) -> None:
    assert len(contours_of(mask)) == ndimage.label(mask)[1]


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_without_keyholes_each_hole_has_its_own(mask: NDArray[np.uint8]) -> None:
    outside = ndimage.label(np.pad(mask == 0, 1, constant_values=True), np.ones((3, 3)))[1]
    assert len(contours_of(mask, keyhole=False)) == ndimage.label(mask)[1] + outside - 1


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_no_contour_runs_through_a_centre(mask: NDArray[np.uint8]) -> None:
    """Not even a keyhole's channel: software differs in what it makes of centres on a contour."""
    for points in contours_of(mask):
        for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
            along = start + np.linspace(0, 1, 41)[:, None] * (end - start)
            assert np.abs(along - np.rint(along)).max(axis=1).min() >= 0.24


def test_a_single_voxel_has_an_area() -> None:
    (points,) = contours_of(np.ones((1, 1), np.uint8))
    assert len(points) == 4
    assert sorted(map(tuple, points.tolist())) == [(-0.5, 0.0), (0.0, -0.5), (0.0, 0.5), (0.5, 0.0)]


def test_points_on_straight_lines_are_left_out() -> None:
    (points,) = contours_of(np.ones((40, 60), np.uint8))
    assert len(points) == 8


class TestContoursOfOthers:
    """Contours through voxel centres, as rt-utils and others draw them."""

    RING = np.ones((7, 8), np.uint8)
    RING[2:5, 2:6] = 0

    @staticmethod
    def rectangle(top: int, left: int, bottom: int, right: int) -> NDArray[np.float64]:
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)

    def test_the_outline_through_the_outermost_centres(self) -> None:
        mask = mask_of([self.rectangle(1, 2, 4, 6)], (6, 8))
        assert mask.sum() == 4 * 5
        assert mask[1:5, 2:7].all()

    def test_a_hole_through_the_innermost_centres(self) -> None:
        np.testing.assert_array_equal(
            mask_of([self.rectangle(0, 0, 6, 7), self.rectangle(1, 1, 5, 6)], (7, 8)), self.RING
        )

    def test_a_keyhole_through_centres(self) -> None:
        outer, hole = self.rectangle(0, 0, 6, 7), self.rectangle(1, 1, 5, 6)[::-1]
        joined = np.concatenate([outer, outer[:1], hole, hole[:1]])
        np.testing.assert_array_equal(mask_of([joined], (7, 8)), self.RING)

    def test_an_island_in_a_hole(self) -> None:
        mask = mask_of([self.rectangle(0, 0, 8, 8), self.rectangle(1, 1, 7, 7), self.rectangle(3, 3, 5, 5)], (9, 9))
        assert mask[4, 4] == 1
        assert mask[2, 2] == 0
        assert mask.sum() == 81 - 25 + 9

    def test_overlapping_contours_unite(self) -> None:
        mask = mask_of([self.rectangle(0, 0, 3, 3), self.rectangle(2, 2, 5, 5)], (6, 6))
        assert mask.sum() == 16 + 16 - 4

    def test_but_alternate_on_request(self) -> None:
        two = [np.array(p) - 0.5 for p in (self.rectangle(0, 0, 4, 4), self.rectangle(2, 2, 6, 6))]
        assert mask_of(two, (6, 6), alternate=True).sum() == 16 + 16 - 8

    def test_the_same_contour_twice_is_one(self) -> None:
        assert mask_of([self.rectangle(0, 0, 3, 3)] * 2, (6, 6)).sum() == 16

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_point_and_a_line(self, count: int) -> None:
        points = np.array([(2.0, 3.0), (5.0, 3.0)])[:count]
        mask = mask_of([points], (6, 8))
        assert mask.sum() == (1 if count == 1 else 4)
        assert mask[3, 2] == 1

    def test_beyond_the_image(self) -> None:
        assert mask_of([self.rectangle(-5, -5, 2, 20)], (6, 8)).sum() == 3 * 8
        assert mask_of([self.rectangle(10, 10, 12, 12)], (6, 8)).sum() == 0

    def test_rounded_coordinates(self) -> None:
        assert mask_of([self.rectangle(1, 1, 3, 3) + 0.004], (6, 6)).sum() == 9


@settings(max_examples=100, deadline=None)
@given(MASKS, st.integers(0, 20), st.booleans(), st.booleans(), st.booleans())
def test_contours_that_are_given_twice_count_once(
    mask: NDArray[np.uint8], turn: int, backward: bool, closed: bool, keyhole: bool
) -> None:
    """Wherever they begin, whichever way they run, and whether their first point comes again at the end."""
    contours = contours_of(mask, keyhole=keyhole)
    again = [np.roll(c, turn, axis=0)[:: -1 if backward else 1] for c in contours]
    again = [np.concatenate([c, c[:1]]) if closed else c for c in again]
    np.testing.assert_array_equal(mask_of([*contours, *again], (mask.shape[0], mask.shape[1])), mask)
