"""How answers of different windows are weighed against one another."""

from __future__ import annotations

import numpy as np
import pytest

from bedside.engines.answer import (
    Answer,
    answer_bounds,
    answer_extent,
    answer_score,
    choose_answer,
    touches_border,
)
from bedside.imaging.window import Window

GRID = 64


def answer(side: float, extent: int, sureness: float = 4.0) -> Answer:
    """An answer of a square of ``extent`` cells in the middle of a window of ``side`` pixels."""
    logits = np.full((GRID, GRID), -sureness, np.float32)
    first = (GRID - extent) // 2
    logits[first : first + extent, first : first + extent] = sureness
    return Answer(Window.centred((500.0, 500.0), (side, side), (GRID, GRID)), logits, np.ones((GRID, GRID), bool))


def test_bounds_are_those_of_the_mask_in_the_image() -> None:
    bounds = answer_bounds(answer(128.0, 32))
    assert bounds is not None
    np.testing.assert_allclose(bounds[0], 468.0)
    np.testing.assert_allclose(bounds[1], 532.0)
    assert answer_bounds(answer(128.0, 0)) is None


def of_mask(window: Window, mask: np.ndarray, inside: np.ndarray | None = None, sureness: float = 4.0) -> Answer:
    """An answer with the logits ``sureness`` on a mask and its negative elsewhere."""
    logits = np.where(mask, sureness, -sureness).astype(np.float32)
    return Answer(window, logits, np.ones(mask.shape, bool) if inside is None else inside)


def test_bounds_follow_each_axis_of_the_window() -> None:
    mask = np.zeros((10, 20), bool)
    mask[2:5, 12:20] = True
    low, high = answer_bounds(of_mask(Window((100.0, -8.0), (120.0, 72.0), (10, 20)), mask))  # type: ignore[misc]
    # Cells of 2 and of 4 voxels.
    np.testing.assert_allclose(low, (104.0, 40.0))
    np.testing.assert_allclose(high, (110.0, 72.0))


def test_what_lies_outside_the_image_is_no_part_of_the_mask() -> None:
    mask, inside = np.ones((2, 4, 4), bool)
    inside[:, :2] = False
    found = of_mask(Window((0.0, -2.0), (4.0, 2.0), (4, 4)), mask, inside)
    np.testing.assert_array_equal(found.mask, inside)
    # A logit of 0 says neither yes nor no.
    assert not Answer(found.window, np.zeros((4, 4), np.float32), inside | True).mask.any()


@pytest.mark.parametrize(("extent", "fit"), [(2, 0.25), (4, 0.5), (8, 1.0), (18, 1.0), (19, 0.5), (20, 0.5)])
def test_the_score_is_the_expected_overlap_times_the_fit(extent: int, fit: float) -> None:
    mask, inside = np.zeros((20, 20), bool), np.ones((20, 20), bool)
    mask[0, :extent] = True
    inside[10:] = False
    found = of_mask(Window((0.0, 0.0), (40.0, 40.0), (20, 20)), mask, inside, sureness=2.0)
    sure = 1 / (1 + np.exp(-2.0))
    expected = extent * sure / (extent + (200 - extent) * (1 - sure))
    assert answer_score(found) == pytest.approx(expected * fit, rel=1e-5)


def test_the_extent_is_that_of_the_axis_along_which_it_is_longest() -> None:
    mask = np.zeros((8, 10, 20), bool)
    mask[1:3, 2:7, 4:12] = True
    window = Window((0.0, 0.0, 0.0), (8.0, 10.0, 20.0), (8, 10, 20))
    assert answer_extent(of_mask(window, mask)) == 0.5
    assert answer_extent(of_mask(window, mask & False)) == 0.0


def test_an_empty_answer_scores_nothing_and_a_sure_one_more_than_an_unsure_one() -> None:
    assert answer_score(answer(100.0, 0)) == 0
    assert 0 < answer_score(answer(100.0, 32, 0.5)) < answer_score(answer(100.0, 32, 6.0)) <= 1


def test_a_mask_that_is_lost_in_its_window_or_fills_it_scores_less() -> None:
    good = answer_score(answer(100.0, 36))
    assert answer_score(answer(100.0, 6)) < 0.6 * good
    assert answer_score(answer(100.0, 64)) < 0.6 * good
    assert answer_extent(answer(100.0, 16)) == 0.25


def test_the_object_that_stays_the_same_size_is_chosen() -> None:
    # A blob of a third of every window, surer than the object that two windows agree on.
    answers = [answer(48.0, 21, 5.0), answer(96.0, 40, 3.0), answer(192.0, 20, 3.0), answer(384.0, 21, 4.0)]
    assert choose_answer(answers) is answers[1]


def test_extreme_logits_do_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert answer_score(answer(100.0, 32, 1e4)) > 0.9


def test_a_face_at_the_images_edge_is_no_border() -> None:
    full = answer(100.0, 64)
    assert touches_border(full, (1000, 1000), 0.15)
    edge = Answer(Window((0.0, 0.0), (100.0, 100.0), (GRID, GRID)), full.logits, full.inside)
    assert not touches_border(edge, (100, 100), 0.15)
    assert touches_border(edge, (100, 200), 0.15)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_face_counts_where_the_mask_covers_more_than_its_share(axis: int, end: str) -> None:
    shape, grid = (60, 60, 60), (10, 10, 10)
    window = Window((20.0,) * 3, (40.0,) * 3, grid)
    mask = np.zeros(grid, bool)
    # A block of 4 x 5 cells across, away from all faces, with a stalk of 2 cells to one of them.
    mask[3:7, 3:7, 3:7] = True
    mask = np.moveaxis(mask, 0, axis)
    across = [a for a in range(3) if a != axis]
    stalk: list[slice | int] = [slice(4, 5)] * 3
    stalk[across[0]] = slice(4, 6)
    stalk[axis] = slice(0, 5) if end == "first" else slice(5, 10)
    mask[tuple(stalk)] = True
    # Wider one layer before the face, which is no face.
    stalk[across[0]] = slice(3, 6)
    stalk[axis] = slice(1, 5) if end == "first" else slice(5, 9)
    mask[tuple(stalk)] = True
    found = of_mask(window, mask)
    # 2 of 4 x 4 cells.
    assert touches_border(found, shape, 0.124)
    assert not touches_border(found, shape, 0.125)
    # Where the image ends within half a voxel of the window's face, nothing goes on behind it.
    start, stop, ends = list(window.start), list(window.stop), list(shape)
    if end == "first":
        start[axis] = 0.5
    else:
        ends[axis] = 40
        stop[axis] = 39.5
    edge = Answer(Window(tuple(start), tuple(stop), grid), found.logits, found.inside)
    assert not touches_border(edge, ends, 0.0)
    if end == "first":
        start[axis] = 0.6
    else:
        stop[axis] = 39.4
    beyond = Answer(Window(tuple(start), tuple(stop), grid), found.logits, found.inside)
    assert touches_border(beyond, ends, 0.0)


def test_an_empty_mask_touches_nothing_and_a_thin_one_may() -> None:
    assert not touches_border(answer(100.0, 0), (1000, 1000), 0.0)
    thin = np.zeros((8, 8), bool)
    thin[4, 3:] = True
    window = Window((100.0, 100.0), (116.0, 116.0), (8, 8))
    assert touches_border(of_mask(window, thin), (1000, 1000), 0.5)
    assert not touches_border(of_mask(window, np.roll(thin, -1, axis=1)), (1000, 116), 0.5)


def test_of_one_answer_that_one_is_chosen() -> None:
    only = answer(100.0, 20)
    assert choose_answer([only]) is only
    # Of equal ones the first: the smallest window is the finest.
    same = [answer(100.0, 40), answer(100.0, 40)]
    assert choose_answer(same) is same[0]


@pytest.mark.parametrize(("sureness", "chosen"), [(1.0, 0), (0.7, 1)])
def test_steadiness_is_weighed_against_the_score(sureness: float, chosen: int) -> None:
    # Halves of windows of 40 and 120 pixels, 20 and 60 long: log 3 apart, and each the other's only neighbour.
    # The third is as long as the second and so steadies it, and is itself unsure.
    answers = [answer(40.0, 32, sureness), answer(120.0, 32, 0.3), answer(480.0, 8, 0.01)]
    ranks = [np.log(answer_score(a)) - 0.3 * d for a, d in zip(answers, (np.log(3), 0.0, 0.0), strict=True)]
    assert int(np.argmax(ranks)) == chosen
    assert choose_answer(answers) is answers[chosen]


def test_the_neighbour_before_steadies_too() -> None:
    # 60, 60 and 180 pixels long: the last is surest, and a third as long in the window before.
    answers = [answer(80.0, 48, 0.01), answer(120.0, 32, 2.0), answer(360.0, 32, 2.5)]
    assert answer_score(answers[2]) > answer_score(answers[1]) > answer_score(answers[0])
    assert choose_answer(answers) is answers[1]


def test_an_answer_of_one_cell_has_a_score() -> None:
    dot = np.zeros((20, 20), bool)
    dot[3, 4] = True
    assert answer_score(of_mask(Window((0.0, 0.0), (40.0, 40.0), (20, 20)), dot)) > 0


def test_empty_answers_are_chosen_last() -> None:
    answers = [answer(40.0, 0), answer(80.0, 30, 0.1), answer(160.0, 0)]
    assert choose_answer(answers) is answers[1]
    nothing = [answer(40.0, 0), answer(80.0, 0)]
    assert choose_answer(nothing) in nothing
