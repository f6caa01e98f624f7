"""The prompt encoder of the SAM family: points and boxes become tokens, a mask becomes a map."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bedside.core.errors import InputError
from bedside.engines.sam.blocks.common import LayerNorm2d

NEGATIVE, POSITIVE, FIRST_CORNER, SECOND_CORNER = range(4)
"""What each of ``PromptEncoder.point_embeddings`` stands for; the first two are also the labels of points."""
PADDING = -1
"""Label of a point that is none, so that prompts with unequal numbers of points fit one batch."""
HALF_PIXEL = 0.5
"""Coordinates name pixels, and positions are measured at their centres."""


class RandomFourierFeatures(nn.Module):
    """Positions in the plane as sines and cosines of random frequencies, which are drawn once and kept.

    Args:
        frequencies: Number of frequencies; a position has twice as many features.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, frequencies))

    def forward(self, positions: Tensor) -> Tensor:
        """Map positions (..., 2) as (x, y), 0 to 1 across the image, to (..., 2 * frequencies)."""
        angles = 2 * math.pi * ((2 * positions - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def grid(self, side: int) -> Tensor:
        """Return features of the cell centres of a square grid: (1, 2 * frequencies, side, side)."""
        device = self.positional_encoding_gaussian_matrix.device
        centres = (torch.arange(side, device=device, dtype=torch.float32) + HALF_PIXEL) / side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        features: Tensor = self(torch.stack((x, y), dim=-1))
        return features.permute(2, 0, 1)[None]


class TokenEncoder(nn.Module):
    """Points and boxes as tokens. Base of the prompt encoders.

    Args:
        image_size: Side of the image that coordinates refer to, in pixels.
        grid: Side of the image embedding.
        width: Features of a token.
    """

    def __init__(self, image_size: int, grid: int = 64, width: int = 256) -> None:
        super().__init__()
        self.image_size = image_size
        self.grid = grid
        self.pe_layer = RandomFourierFeatures(width // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.no_mask_embed = nn.Embedding(1, width)

    def positions(self) -> Tensor:
        """Return features of every position of the image embedding: (1, width, grid, grid)."""
        return self.pe_layer.grid(self.grid)

    def point_tokens(self, points: Tensor, labels: Tensor) -> Tensor:
        """Map points (n, k, 2) in pixels with labels (n, k), each 1, 0 or -1 for none, to tokens (n, k, width)."""
        label = labels[..., None]
        kind = torch.where(label == POSITIVE, self._embedding(POSITIVE), self._embedding(NEGATIVE))
        tokens = self._at(points) + kind
        return torch.where(label == PADDING, self.not_a_point_embed.weight[0], tokens)

    def box_tokens(self, boxes: Tensor) -> Tensor:
        """Map boxes (n, 4) as (x0, y0, x1, y1) in pixels to tokens (n, 2, width), one a corner."""
        corners = torch.stack((self._embedding(FIRST_CORNER), self._embedding(SECOND_CORNER)))
        return self._at(boxes.reshape(-1, 2, 2)) + corners

    def no_mask(self, prompts: int) -> Tensor:
        """Return the map that stands for no mask: (prompts, width, grid, grid)."""
        return self.no_mask_embed.weight[0][None, :, None, None].expand(prompts, -1, self.grid, self.grid)

    def _at(self, points: Tensor) -> Tensor:
        features: Tensor = self.pe_layer((points.float() + HALF_PIXEL) / self.image_size)
        return features

    def _embedding(self, kind: int) -> Tensor:
        embedding = self.point_embeddings[kind]
        if not isinstance(embedding, nn.Embedding):
            raise TypeError(kind)
        return embedding.weight[0]


class PromptEncoder(TokenEncoder):
    """Points, boxes and a mask or scribble, in any combination.

    Args:
        image_size: Side of the image that coordinates refer to, in pixels.
        grid: Side of the image embedding; masks are four times as large.
        width: Features of a token.
    """

    def __init__(self, image_size: int, grid: int = 64, width: int = 256) -> None:
        super().__init__(image_size, grid, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, width, 1),
        )

    def forward(
        self,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode ``n`` prompts of the same make-up.

        Args:
            boxes: (n, 4), pixels as (x0, y0, x1, y1).
            points: (n, k, 2), pixels as (x, y).
            labels: (n, k): 1 positive, 0 negative, -1 no point.
            masks: (n, 1, 4 * grid, 4 * grid): logits of an earlier prediction, or a scribble drawn as 0 and 1.

        Returns:
            Tokens (n, t, width), points before corners, and a map (n, width, grid, grid).

        Raises:
            InputError: There is no prompt at all, or points come without labels.
        """
        given = [prompt for prompt in (boxes, points, masks) if prompt is not None]
        if not given:
            raise InputError("prompts of a decoder", expected="boxes, points or masks", got="none")
        if points is not None and labels is None:
            raise InputError("points of a decoder", expected="a label for each", got="no labels")
        prompts = given[0].shape[0]
        dense = self.no_mask(prompts) if masks is None else self.mask_downscaling(masks)
        return self._tokens(boxes, points, labels, prompts), dense

    def _tokens(self, boxes: Tensor | None, points: Tensor | None, labels: Tensor | None, prompts: int) -> Tensor:
        tokens = []
        if points is not None and labels is not None:
            tokens.append(self.point_tokens(points, labels))
            if boxes is None:
                # Networks were trained with two tokens at least; a point alone gets one that says nothing.
                tokens.append(self.not_a_point_embed.weight[None].expand(prompts, -1, -1))
        if boxes is not None:
            tokens.append(self.box_tokens(boxes))
        if not tokens:
            return self.not_a_point_embed.weight[None, :0].expand(prompts, -1, -1)
        return torch.cat(tokens, dim=1)
