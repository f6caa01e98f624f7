from __future__ import annotations

import numpy as np
import pytest

from bedside.core.errors import PromptError
from bedside.core.prompts import Box
from bedside.simulate.challenge_boxes import middle_slice_box


class Steps:
    """A generator whose draw is known."""

    def __init__(self, step):
        self.step = step

    def integers(self, high):
        assert high == 6
        return self.step


def leaning():
    """An object that moves to the right from slice to slice, with a gap at z = 4: slices 2, 3, 5, 6."""
    truth = np.zeros((9, 64, 512), np.uint8)
    for z in (2, 3, 5, 6):
        truth[z, 20:30, 10 * z : 10 * z + 8] = 1
    return truth


def test_box_of_the_middle_slice_by_hand():
    box, middle = middle_slice_box(leaning(), Steps(0))
    # Element 4 // 2 of the distinct slices, which is not the middle of 2..6.
    assert middle == 5
    assert box == Box((50, 20, 2), (58, 30, 7))


def test_enlargement_is_one_draw_for_both_axes_in_parts_of_the_image():
    box, _ = middle_slice_box(leaning(), Steps(3))
    # floor(3 * 512 / 256) = 6 columns, floor(3 * 64 / 256) = 0 rows; z stays.
    assert box == Box((44, 20, 2), (64, 30, 7))


def test_the_box_is_clipped_to_the_image():
    truth = np.zeros((3, 256, 256), np.uint8)
    truth[1, :3, 254:] = 1
    box, middle = middle_slice_box(truth, Steps(5))
    assert (box, middle) == (Box((249, 0, 1), (256, 8, 2)), 1)


def test_every_step_is_drawn_and_equal_seeds_draw_equally():
    boxes = [middle_slice_box(leaning(), np.random.default_rng(seed))[0] for seed in range(60)]
    assert {50 - int(b.low[0]) for b in boxes} == {0, 2, 4, 6, 8, 10}
    assert boxes[7] == middle_slice_box(leaning(), np.random.default_rng(7))[0]


@pytest.mark.parametrize("empty", [np.zeros((2, 3, 4)), np.ones((3, 4))])
def test_nothing_has_no_box(empty):
    with pytest.raises(PromptError):
        middle_slice_box(empty, np.random.default_rng(0))
