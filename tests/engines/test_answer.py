"""How answers of different windows are weighed against one another."""

from __future__ import annotations

import numpy as np

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
