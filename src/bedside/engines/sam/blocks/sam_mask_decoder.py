"""The mask decoder of the SAM family: image embedding and encoded prompts to masks and their expected quality."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bedside.engines.sam.blocks.common import LayerNorm2d, Perceptron
from bedside.engines.sam.blocks.two_way_transformer import EPSILON, TwoWayTransformer

MASKS = 4
"""Masks that a decoder can draw: one that is meant to be right, and three for an ambiguous prompt."""


class Masks(NamedTuple):
    """What a decoder predictions to ``n`` prompts.

    Attributes:
        logits: (n, 1, 4 * grid, 4 * grid); above 0 is the object. Three masks where all were asked for.
        iou: (n, 1) or (n, 3), the overlap with the truth that the network expects of each mask.
    """

    logits: Tensor
    iou: Tensor


def upscaling(channels_in: int, channels_out: int, norm: bool) -> list[nn.Module]:
    """Return layers that double the size of a map."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(channels_in, channels_out, 2, stride=2)]
    return [*layers, LayerNorm2d(channels_out), nn.GELU()] if norm else [*layers, nn.GELU()]


class TokenDecoder(nn.Module):
    """The parts that all mask decoders share: the transformer, the tokens it adds, and the heads that read them.

    Args:
        width: Features of tokens and of the image embedding.
        epsilon: Epsilon of the transformer's normalisations.
    """

    def __init__(self, width: int = 256, epsilon: float = EPSILON) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(width=width, epsilon=epsilon)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(MASKS, width)
        self.output_hypernetworks_mlps = nn.ModuleList(
            Perceptron((width, width, width, width // 8)) for _ in range(MASKS)
        )
        self.iou_prediction_head = Perceptron((width, width, width, MASKS))

    def attend(self, embedding: Tensor, positions: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Let prompts and image attend to each other.

        Args:
            embedding: (n, width, y, x), one for each prompt.
            positions: (1, width, y, x).
            sparse: Prompt tokens (n, t, width).
            dense: Prompt maps (n, width, y, x), added to the embedding.

        Returns:
            Tokens (n, 1 + MASKS + t, width), that of the expected overlap first, then those of the masks, then the
            prompts'; and the map (n, width, y, x).
        """
        own = torch.cat((self.iou_token.weight, self.mask_tokens.weight))
        tokens = torch.cat((own[None].expand(sparse.shape[0], -1, -1), sparse), dim=1)
        attended: tuple[Tensor, Tensor] = self.transformer(embedding + dense, positions, tokens)
        return attended

    def draw(self, tokens: Tensor, features: Tensor, *, multimask: bool) -> Masks:
        """Return masks from attended tokens and the upscaled map (n, width / 8, y, x)."""
        chosen = range(1, MASKS) if multimask else range(1)
        filters = torch.stack([self.output_hypernetworks_mlps[i](tokens[:, 1 + i]) for i in chosen], dim=1)
        logits = torch.unflatten(filters @ features.flatten(2), -1, features.shape[-2:])
        iou = self.iou_prediction_head(tokens[:, 0])
        return Masks(logits, iou[:, chosen.start : chosen.stop])


class MaskDecoder(TokenDecoder):
    """The standard decoder: the map that the transformer gives is enlarged four times and filtered by each mask token.

    Args:
        width: Features of tokens and of the image embedding.
        epsilon: Epsilon of the transformer's normalisations.
    """

    def __init__(self, width: int = 256, epsilon: float = EPSILON) -> None:
        super().__init__(width, epsilon)
        self.output_upscaling = nn.Sequential(
            *upscaling(width, width // 4, norm=True), *upscaling(width // 4, width // 8, norm=False)
        )

    def forward(
        self,
        features: tuple[Tensor, ...],
        positions: Tensor,
        sparse: Tensor,
        dense: Tensor,
        *,
        multimask: bool = False,
    ) -> Masks:
        """Predict ``n`` prompts.

        Args:
            features: The image embedding (n, width, y, x), alone in its tuple.
            positions: (1, width, y, x).
            sparse: Prompt tokens (n, t, width).
            dense: Prompt maps (n, width, y, x).
            multimask: Three masks for an ambiguous prompt and not one.
        """
        (embedding,) = features
        tokens, attended = self.attend(embedding, positions, sparse, dense)
        return self.draw(tokens, self.output_upscaling(attended), multimask=multimask)
