"""Losses on logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

DICE_SMOOTHING = 1.0
"""Cells added to both terms of the soft Dice, so that an object of a few cells does not dominate a batch."""

DYNAMIC_SMOOTHING = 1e-3
"""The same in the loss of the dynamic-prompt method."""


def soft_dice_loss(logits: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """1 - soft Dice of every sample, averaged over the batch.

    Args:
        logits: (batch, *grid).
        truth: 0/1, same shape.
        inside: 0/1, same shape; cells outside the image do not count.
    """
    probability = logits.sigmoid() * inside
    target = truth * inside
    axes = tuple(range(1, logits.ndim))
    overlap = (probability * target).sum(dim=axes)
    total = probability.sum(dim=axes) + target.sum(dim=axes)
    return (1 - (2 * overlap + DICE_SMOOTHING) / (total + DICE_SMOOTHING)).mean()


def binary_cross_entropy(logits: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Return mean binary cross-entropy over the cells inside the image; arguments as for ``soft_dice_loss``."""
    values = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return (values * inside).sum() / inside.sum().clamp(min=1)


def segmentation_loss(
    logits: Tensor, truth: Tensor, inside: Tensor, dice_weight: float, bce_weight: float | Tensor
) -> Tensor:
    """Return weighted sum of soft Dice loss and binary cross-entropy; arguments as for ``soft_dice_loss``.

    Over the parts of a batch the whole batch's loss is the sum of the parts' losses, the first term weighted by the
    part's share of the samples and the second by its share of the cells inside the image.
    """
    dice = soft_dice_loss(logits, truth, inside)
    return dice_weight * dice + bce_weight * binary_cross_entropy(logits, truth, inside)


def dynamic_prompt_loss(logits: Tensor, truth: Tensor, dice_weight: float) -> Tensor:
    """Return cross-entropy plus the weighted soft Dice loss of the dynamic-prompt method (arXiv 2510.03189).

    Both are over all cells, those beyond the image included. Over the parts of a batch the whole batch's loss is the
    sum of the parts' losses, each weighted by the part's share of the samples.

    Args:
        logits: (batch, *grid), the object's logit less the background's: the cross-entropy of the two classes is that
            of their difference.
        truth: 0/1, same shape.
        dice_weight: Weight of 1 - soft Dice.
    """
    probability = logits.sigmoid()
    axes = tuple(range(1, logits.ndim))
    overlap = (probability * truth).sum(dim=axes)
    total = probability.sum(dim=axes) + truth.sum(dim=axes)
    dice = (2 * overlap + DYNAMIC_SMOOTHING) / (total + DYNAMIC_SMOOTHING)
    return F.binary_cross_entropy_with_logits(logits, truth) + dice_weight * (1 - dice.mean())
