from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.core.errors import InputError
from bedside.engines.sam.training.losses import (
    LossWeights,
    contrastive_loss,
    embedding_loss,
    focal_loss,
    mask_loss,
    overlap_loss,
    squared_dice_loss,
)


@pytest.fixture
def masks() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(3, 16, 16, generator=generator) > 0.6).float()
    return torch.randn(3, 16, 16, generator=generator) * 2, truth


@pytest.mark.filterwarnings("ignore")
def test_dice_and_focal_loss_are_those_of_another_library(masks: tuple[Tensor, Tensor]) -> None:
    from monai.losses import DiceLoss, FocalLoss

    logits, truth = masks
    dice = DiceLoss(sigmoid=True, squared_pred=True)(logits[:, None], truth[:, None])
    assert torch.allclose(squared_dice_loss(logits, truth), dice, atol=1e-6)
    focal = FocalLoss(gamma=2.0, alpha=0.25)(logits[:, None], truth[:, None])
    assert torch.allclose(focal_loss(logits, truth), focal, atol=1e-6)


def test_a_right_answer_costs_nothing_and_a_wrong_one_everything() -> None:
    truth = torch.zeros(1, 8, 8)
    truth[:, 2:5, 2:5] = 1
    sure = 40 * (2 * truth - 1)
    assert float(squared_dice_loss(sure, truth)) < 1e-4
    assert float(squared_dice_loss(-sure, truth)) > 0.999
    assert float(focal_loss(sure, truth)) < 1e-4
    empty = torch.zeros(1, 8, 8)
    assert float(squared_dice_loss(torch.full((1, 8, 8), -40.0), empty)) < 1e-4


def test_the_expected_overlap_is_compared_with_the_actual_one() -> None:
    truth, logits = torch.zeros(2, 4, 4), torch.full((2, 4, 4), -1.0)
    truth[0, :2], logits[0, 1:3] = 1, 1.0
    # A third of the union is common; the second masks are both empty, and agree.
    assert float(overlap_loss(torch.tensor([1 / 3, 1.0]), logits, truth)) == pytest.approx(0)
    assert float(overlap_loss(torch.tensor([1 / 3 + 0.2, 1.0]), logits, truth)) == pytest.approx(0.02, abs=1e-6)
    wanted = torch.tensor([0.5, 0.5], requires_grad=True)
    logits.requires_grad_(True)
    overlap_loss(wanted, logits, truth).backward()
    assert wanted.grad is not None
    assert logits.grad is None


def test_contrast_prefers_the_own_map() -> None:
    tokens = torch.eye(4)
    own, mixed = contrastive_loss(tokens, 3 * tokens), contrastive_loss(tokens, tokens.roll(1, 0))
    assert float(own) == pytest.approx(-math.log(math.e / (math.e + 3)), abs=1e-6)
    assert own < mixed


def test_embeddings_are_compared_by_either_distance() -> None:
    a, b = torch.zeros(1, 2, 2, 2), torch.full((1, 2, 2, 2), 3.0)
    assert float(embedding_loss(a, b, "mse")) == 9
    assert float(embedding_loss(a, b, "l1")) == 3


def test_terms_are_weighted_and_squared_where_asked(masks: tuple[Tensor, Tensor]) -> None:
    logits, truth = masks
    expected = torch.full((3,), 0.4)
    terms = {
        "dice": squared_dice_loss(logits, truth),
        "bce": F.binary_cross_entropy_with_logits(logits, truth),
        "focal": focal_loss(logits, truth),
        "iou": overlap_loss(expected, logits, truth),
    }
    nothing = dict.fromkeys(terms, 0.0)
    for name, term in terms.items():
        weights = LossWeights(**{**nothing, name: 2.0})  # type: ignore[arg-type]
        assert torch.allclose(mask_loss(logits, expected, truth, weights), 2 * term)
    total = mask_loss(logits, expected, truth, LossWeights(dice=1, bce=1, focal=20, iou=1))
    assert torch.allclose(total, terms["dice"] + terms["bce"] + 20 * terms["focal"] + terms["iou"])
    squared = mask_loss(logits, expected, truth, LossWeights(squared=True))
    assert torch.allclose(squared, terms["dice"] ** 2 + terms["bce"] ** 2 + terms["iou"] ** 2)


def test_weights_that_cannot_be_used() -> None:
    with pytest.raises(InputError, match="weights from 0"):
        LossWeights(dice=0, bce=0, iou=0)
    with pytest.raises(InputError, match="weights from 0"):
        LossWeights(dice=-1)
    with pytest.raises(InputError, match=r"loss\.embedding"):
        LossWeights(embedding="cosine")  # type: ignore[arg-type]
