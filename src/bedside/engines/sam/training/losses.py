"""Losses of the SAM family: on embeddings, on masks, and on what the networks say about themselves.

Every mask loss takes logits and truth of the shape (prompts, y, x) and looks at the whole grid, padding included, as
the published trainings do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.core.errors import InputError

SMOOTHING = 1e-5
FOCAL_GAMMA = 2.0
UNION = 1e-7
"""Added to the union of two masks, as in MedficientSAM's code."""
Distance = Literal["mse", "l1"]


@dataclass(frozen=True)
class LossWeights:
    """What a stage minimises.

    Attributes:
        embedding: Distance to the teacher's embedding, in distillation.
        dice: Weight of the Dice loss.
        bce: Weight of the binary cross-entropy.
        focal: Weight of the focal loss.
        focal_alpha: Share of the object in the focal loss, the ground has the rest; 0 for none, as published.
        iou: Weight of the squared error of the expected overlap.
        empty_overlap: Overlap that two empty masks count as. MedficientSAM's code makes it 0; in that of LiteMedSAM's
            family it is 0 / 0, which spoils the step, and here 1: two empty masks agree.
        contrastive: Weight of the contrast between content tokens and content maps, of MCP-MedSAM.
        modality: Weight of the cross-entropy of the modality, of MCP-MedSAM.
        squared: Whether each term is squared before they are added, as in Rep-MedSAM's code.
    """

    embedding: Distance = "mse"
    dice: float = 1.0
    bce: float = 1.0
    focal: float = 0.0
    focal_alpha: float = 0.0
    iou: float = 1.0
    empty_overlap: float = 1.0
    contrastive: float = 0.0
    modality: float = 0.0
    squared: bool = False

    def __post_init__(self) -> None:
        if self.embedding not in get_args(Distance):
            raise InputError("loss.embedding", expected=f"one of {', '.join(get_args(Distance))}", got=self.embedding)
        weights = (self.dice, self.bce, self.focal, self.iou, self.contrastive, self.modality)
        for name in ("focal_alpha", "empty_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"loss.{name}", expected="a share from 0 to 1", got=getattr(self, name))
        if min(weights) < 0 or not any(weights):
            raise InputError("loss", expected="weights from 0, one of them above", got=weights)


def embedding_loss(embedding: Tensor, wanted: Tensor, distance: Distance) -> Tensor:
    """Return mean squared or absolute difference of embeddings (batch, 256, grid, grid)."""
    return F.l1_loss(embedding, wanted) if distance == "l1" else F.mse_loss(embedding, wanted)


def squared_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - soft Dice with squares in the denominator (Milletari et al., 2016), averaged over the prompts."""
    probability = logits.sigmoid().flatten(1)
    target = truth.flatten(1)
    overlap = (probability * target).sum(1)
    total = probability.square().sum(1) + target.square().sum(1)
    return (1 - (2 * overlap + SMOOTHING) / (total + SMOOTHING)).mean()


def focal_loss(logits: Tensor, truth: Tensor, alpha: float = 0.0) -> Tensor:
    """Return cross-entropy that counts what is known already for little (Lin et al., 2017), averaged over cells.

    Args:
        logits: (prompts, y, x).
        truth: float 0/1, of the same shape.
        alpha: Weight of the object, that of the ground being the rest; 0 weighs neither.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    right = torch.exp(-entropy)
    hard = (1 - right) ** FOCAL_GAMMA * entropy
    return ((alpha * truth + (1 - alpha) * (1 - truth)) * hard).mean() if alpha else hard.mean()


def overlap_loss(expected: Tensor, logits: Tensor, truth: Tensor, empty: float = 1.0) -> Tensor:
    """Return squared error of the overlap (IoU) that the network expects of its masks, ``expected`` (prompts,).

    ``empty`` is the overlap that two empty masks count as.
    """
    drawn, wanted = (logits.detach() > 0).flatten(1), (truth > 0).flatten(1)
    union = (drawn | wanted).sum(1)
    actual = torch.where(union > 0, (drawn & wanted).sum(1) / (union + UNION), torch.full_like(expected, empty))
    return F.mse_loss(expected, actual)


def contrastive_loss(tokens: Tensor, maps: Tensor) -> Tensor:
    """Each content token is to resemble the pooled map of its own crop more than the others', and the other way round.

    Cosine similarity, no temperature.

    Args:
        tokens: (prompts, width).
        maps: (prompts, width).
    """
    similarity = F.normalize(tokens, dim=1) @ F.normalize(maps, dim=1).T
    own = torch.arange(len(tokens), device=tokens.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


def mask_loss(logits: Tensor, expected: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Return the weighted sum of the losses on masks.

    Args:
        logits: (prompts, y, x).
        expected: Overlap that the network expects, (prompts,).
        truth: float 0/1, of the shape of ``logits``.
        weights: What counts how much.
    """
    terms = []
    if weights.dice:
        terms.append((weights.dice, squared_dice_loss(logits, truth)))
    if weights.bce:
        terms.append((weights.bce, F.binary_cross_entropy_with_logits(logits, truth)))
    if weights.focal:
        terms.append((weights.focal, focal_loss(logits, truth, weights.focal_alpha)))
    if weights.iou:
        terms.append((weights.iou, overlap_loss(expected, logits, truth, weights.empty_overlap)))
    total = torch.zeros((), device=logits.device)
    for weight, term in terms:
        total = total + weight * (term.square() if weights.squared else term)
    return total
