from __future__ import annotations

import pytest
import torch

from bedside.train.losses import DICE_SMOOTHING, binary_cross_entropy, segmentation_loss, soft_dice_loss

TRUTH = torch.zeros(2, 8, 8)
TRUTH[:, 2:6, 2:6] = 1
INSIDE = torch.ones(2, 8, 8)


def test_right_answers_cost_nothing_and_wrong_ones_much() -> None:
    right = (TRUTH * 2 - 1) * 50
    assert float(segmentation_loss(right, TRUTH, INSIDE, 1, 1)) == pytest.approx(0, abs=1e-6)
    assert float(soft_dice_loss(-right, TRUTH, INSIDE)) > 0.9
    assert float(binary_cross_entropy(-right, TRUTH, INSIDE)) == pytest.approx(50)


def test_dice_by_hand() -> None:
    # Half of everything: overlap 8, sums 32 and 16.
    expected = 1 - (16 + DICE_SMOOTHING) / (32 + 16 + DICE_SMOOTHING)
    assert float(soft_dice_loss(torch.zeros(2, 8, 8), TRUTH, INSIDE)) == pytest.approx(expected)


def test_cells_outside_the_image_do_not_count() -> None:
    logits = torch.randn((2, 8, 8), generator=torch.Generator().manual_seed(0))
    inside = INSIDE.clone()
    inside[:, :, 5:] = 0
    other = torch.where(inside > 0, logits, 30.0)
    torch.testing.assert_close(
        segmentation_loss(logits, TRUTH, inside, 1, 1), segmentation_loss(other, TRUTH, inside, 1, 1)
    )
    assert float(binary_cross_entropy(logits, TRUTH, INSIDE * 0)) == 0


def test_weights() -> None:
    logits = torch.randn((2, 8, 8), generator=torch.Generator().manual_seed(0))
    dice, bce = soft_dice_loss(logits, TRUTH, INSIDE), binary_cross_entropy(logits, TRUTH, INSIDE)
    torch.testing.assert_close(segmentation_loss(logits, TRUTH, INSIDE, 2, 3), 2 * dice + 3 * bce)
