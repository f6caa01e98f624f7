from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
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
    assert torch.allclose(focal_loss(logits, truth, 0.25), focal, atol=1e-6)
    unweighted = FocalLoss(gamma=2.0)(logits[:, None], truth[:, None])
    assert torch.allclose(focal_loss(logits, truth), unweighted, atol=1e-6)


GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "losses.json").read_text())
MEDFICIENTSAM = LossWeights(bce=0, focal=20, empty_overlap=0)
TOTALS = {
    "medficientsam total": MEDFICIENTSAM,
    "lite-medsam, daft, swin-lite-medsam total": LossWeights(),
    "rep-medsam total": LossWeights(squared=True),
    "medsam total": LossWeights(iou=0),
}


def golden_masks() -> tuple[dict[str, Tensor], np.random.Generator]:
    """Inputs of the public losses; see the golden folder."""
    rng = np.random.default_rng(21)
    logits = (2 * rng.standard_normal((3, 1, 32, 32))).astype(np.float32)
    truth = (rng.random((3, 1, 32, 32)) < 0.3).astype(np.float32)
    expected = rng.random((3, 1)).astype(np.float32)
    found = {"logits": logits[:, 0], "expected": expected[:, 0], "truth": truth[:, 0]}
    return {name: torch.from_numpy(value) for name, value in found.items()}, rng


@pytest.mark.parametrize("total", TOTALS)
def test_losses_are_those_of_the_public_code(total: str) -> None:
    masks, _ = golden_masks()
    assert float(mask_loss(**masks, weights=TOTALS[total])) == pytest.approx(GOLDEN["random"][total], rel=1e-5)


def test_terms_are_those_of_the_public_code() -> None:
    masks, rng = golden_masks()
    logits, truth, wanted = masks["logits"], masks["truth"], GOLDEN["random"]
    assert float(squared_dice_loss(logits, truth)) == pytest.approx(wanted["dice"], rel=1e-5)
    assert float(focal_loss(logits, truth)) == pytest.approx(wanted["focal"], rel=1e-5)
    assert float(overlap_loss(masks["expected"], logits, truth)) == pytest.approx(wanted["iou"], rel=1e-5)
    tokens, maps = (torch.from_numpy(rng.standard_normal((3, 256)).astype(np.float32)) for _ in range(2))
    scores = torch.from_numpy(rng.standard_normal((3, 11)).astype(np.float32))
    contrast, seen = contrastive_loss(tokens, maps), F.cross_entropy(scores, torch.tensor([0, 3, 10]))
    assert float(contrast) == pytest.approx(wanted["contrastive"], rel=1e-5)
    assert float(seen) == pytest.approx(wanted["modality"], rel=1e-5)
    total = mask_loss(**masks, weights=LossWeights()) + 0.01 * contrast + 0.01 * seen
    assert float(total) == pytest.approx(wanted["mcp-medsam total"], rel=1e-5)


def test_two_empty_masks_are_what_each_recipe_says() -> None:
    masks, _ = golden_masks()
    logits = -masks["logits"][:1].abs() - 0.1
    empty = {"logits": logits, "expected": torch.tensor([0.3]), "truth": torch.zeros_like(logits)}
    wanted = GOLDEN["empty truth and empty mask"]
    assert float(mask_loss(**empty, weights=MEDFICIENTSAM)) == pytest.approx(wanted["medficientsam total"], rel=1e-5)
    # The family's code divides 0 by 0 here; ours counts them as equal.
    assert wanted["iou"] is None
    assert float(overlap_loss(empty["expected"], logits, empty["truth"])) == pytest.approx(0.49)


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
