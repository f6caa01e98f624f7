"""What a network of the SAM family predictions to a batch, and how good that is."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.engines.sam.networks.mcp_medsam import Content, ContentMasks, McpMedSAM
from bedside.engines.sam.training.losses import LossWeights, contrastive_loss, mask_loss
from bedside.train.task import Batch


def answer(network: Any, batch: Batch, text_features: Tensor | None = None) -> Any:
    """Return the masks of every box, each image's boxes in a row.

    Args:
        network: Network of the family.
        batch: Images (batch, 3, side, side) with boxes (batch, masks, 4), and what further prompts it takes.
        text_features: (11, 512), of the names of the modalities, for MCP-MedSAM.
    """
    features = network.encode_image(batch["image"])
    boxes = batch["boxes"].flatten(0, 1)
    if isinstance(network, McpMedSAM):
        modality = batch["modality"].flatten()
        assert text_features is not None
        content = Content(
            batch["crops"].flatten(0, 1), batch["features"].flatten(0, 1), text_features[modality], modality
        )
        return network.decode(features, boxes, content)
    if "points" in batch:
        points = batch["points"].flatten(0, 1)
        scribble = batch["scribble"].flatten(0, 1)
        return network.decode(features, boxes, points, torch.ones_like(points[..., 0]), scribble)
    return network.decode(features, boxes)


def answer_loss(network: Any, batch: Batch, weights: LossWeights, text_features: Tensor | None = None) -> Tensor:
    """Return the loss of a batch; see ``answer``."""
    masks = answer(network, batch, text_features)
    truth = batch["truth"].flatten(0, 1).float()
    total = mask_loss(masks.logits[:, 0].float(), masks.iou[:, 0].float(), truth, weights)
    if isinstance(masks, ContentMasks):
        if weights.contrastive:
            contrast = contrastive_loss(masks.content_token.float(), masks.content_map.float())
            total = total + weights.contrastive * contrast
        if weights.modality:
            seen = F.cross_entropy(masks.modality_logits.float(), batch["modality"].flatten())
            total = total + weights.modality * seen
    return total


def mask_scores(network: Any, batch: Batch, text_features: Tensor | None = None) -> list[float]:
    """Return DSC on the grid of every sample, the mean over its boxes; see ``answer``."""
    truth = batch["truth"] > 0
    drawn = (answer(network, batch, text_features).logits[:, 0] > 0).reshape(truth.shape)
    overlap = (drawn & truth).sum((2, 3))
    total = drawn.sum((2, 3)) + truth.sum((2, 3))
    scores: list[float] = (2 * overlap / total.clamp(min=1)).mean(1).tolist()
    return scores
