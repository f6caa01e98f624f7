from __future__ import annotations

import numpy as np
import pytest

from bedside.engines.sam.training.augmentation import Turn, apply_flip, apply_turn, draw_flip, draw_turn, jitter_colours


def test_flips_are_their_own_inverse_and_move_the_right_axis() -> None:
    array = np.arange(12).reshape(1, 3, 4)
    assert np.array_equal(apply_flip(array, 0), array)
    assert apply_flip(array, 1)[0, 0].tolist() == [3, 2, 1, 0]
    assert apply_flip(array, 2)[0, :, 0].tolist() == [8, 4, 0]
    for flip in range(4):
        assert np.array_equal(apply_flip(apply_flip(array, flip), flip), array)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_flips_are_drawn_by_their_chance(chance: float) -> None:
    generator = np.random.default_rng(0)
    drawn = [draw_flip(chance, generator) for _ in range(2000)]
    assert abs(np.mean([flip & 1 for flip in drawn]) - chance) < 0.04
    assert abs(np.mean([flip >> 1 for flip in drawn]) - chance) < 0.04


def test_a_turn_of_nothing_changes_nothing() -> None:
    image = np.random.default_rng(0).random((3, 21, 21), dtype=np.float32)
    assert np.allclose(apply_turn(image, Turn((0.0, 0.0), 1.0, 0.0), smooth=True), image, atol=1e-6)


def test_shift_scale_and_angle_do_what_they_say() -> None:
    grid = np.zeros((41, 41), dtype=np.float32)
    grid[20, 30] = 1

    def place(turn: Turn) -> tuple[int, int]:
        y, x = np.unravel_index(int(apply_turn(grid, turn, smooth=True).argmax()), grid.shape)
        return int(y), int(x)

    assert place(Turn((4 / 41, -2 / 41), 1.0, 0.0)) == (24, 28)
    assert place(Turn((0.0, 0.0), 0.5, 0.0)) == (20, 25)
    assert {place(Turn((0.0, 0.0), 1.0, np.pi / 2)), place(Turn((0.0, 0.0), 1.0, -np.pi / 2))} == {(10, 20), (30, 20)}


def test_masks_stay_masks_and_turns_stay_in_their_ranges() -> None:
    generator = np.random.default_rng(2)
    mask = (generator.random((33, 33)) > 0.5).astype(np.float32)
    for _ in range(20):
        turn = draw_turn(generator)
        assert max(map(abs, turn.shift)) <= 0.0625
        assert 0.8 <= turn.scale <= 1.2
        assert abs(turn.angle) <= np.pi / 2
        assert set(np.unique(apply_turn(mask, turn, smooth=False))) <= {0, 1}


def test_colours_change_within_their_range_and_greys_stay_grey() -> None:
    generator = np.random.default_rng(3)
    colours = generator.random((3, 16, 16), dtype=np.float32)
    grey = np.repeat(colours[:1], 3, axis=0)
    for _ in range(20):
        changed = jitter_colours(colours, generator)
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert not np.allclose(changed, colours, atol=1e-3)
        still = jitter_colours(grey, generator)
        assert np.allclose(still[0], still[1], atol=1e-5)
        assert np.allclose(still[0], still[2], atol=1e-5)
