"""MCP-MedSAM: LiteMedSAM with two more prompts, what the box holds (content) and what made the image (modality)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.core.modality import MODALITIES
from bedside.engines.sam.blocks.sam import Features, repeated
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import TokenEncoder
from bedside.engines.sam.blocks.tiny_vit import TinyViT

CARD = {
    "name": "mcp-medsam",
    "family": "sam",
    "summary": "TinyViT with content and modality prompts from a frozen CLIP, trained on one GPU in one day.",
    "parameters": 19_586_051,
    "dimensions": 2,
    "grid": 256,
    "prompt_kinds": ("box",),
    "negative_kinds": (),
    "licence": "MIT",
    "source": "github.com/dong845/MCP-MedSAM, MELBA 2025:008",
}
"""Parameters do not count the frozen CLIP, whose features are inputs here (see ``FeatureTower``)."""

CLIP_WIDTH = 512
CLIP_SIDE = 224
LEAK = 0.1


class FeatureTower(Protocol):
    """The frozen CLIP (PubMedCLIP, ViT-B/32) that describes crops and modalities. Its features can be computed once."""

    def image_features(self, crops: Tensor) -> Tensor:
        """Map crops (n, 3, CLIP_SIDE, CLIP_SIDE), 0 to 1, to (n, CLIP_WIDTH)."""

    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Return texts, "<modality> Image", to (n, CLIP_WIDTH)."""


class Content(NamedTuple):
    """What the prompts of ``n`` boxes say beyond their corners.

    Attributes:
        crops: (n, 3, grid, grid), 0 to 1: the image at its own resolution within each box, resized.
        image_features: (n, CLIP_WIDTH) of the same crop.
        text_features: (n, CLIP_WIDTH) of the name of the modality.
        modality: (n,), index in ``MODALITIES``.
    """

    crops: Tensor
    image_features: Tensor
    text_features: Tensor
    modality: Tensor


class ContentMasks(NamedTuple):
    """What the network predicts to ``n`` prompts.

    Attributes:
        logits: (n, 1, 4 * grid, 4 * grid); above 0 is the object.
        iou: (n, 1), the overlap with the truth that the network expects.
        modality_logits: (n, 11), the modality it sees; trained with cross entropy.
        content_token: (n, 256), the content token that goes into the decoder's transformer.
        content_map: (n, 256), the mean of the map of the crop; trained to resemble the token.
    """

    logits: Tensor
    iou: Tensor
    modality_logits: Tensor
    content_token: Tensor
    content_map: Tensor


class TwoLayers(nn.Module):
    """A perceptron with one hidden layer and GELU."""

    def __init__(self, width_in: int, hidden: int, width_out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width_in, hidden)
        self.fc2 = nn.Linear(hidden, width_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width_in) to (..., width_out)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class ResidualConvolutions(nn.Module):
    """Two 3x3 convolutions added to their input, normalised between them.

    Args:
        channels: Channels of input and output.
        norm_at_end: Whether what is added is normalised, and the sum goes through a LeakyReLU, as in the crop encoder.
    """

    def __init__(self, channels: int, *, norm_at_end: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.batch_norm2 = nn.BatchNorm2d(channels) if norm_at_end else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, y, x) to the same shape."""
        out: Tensor = self.conv2(F.leaky_relu(self.batch_norm1(self.conv1(x)), LEAK))
        if self.batch_norm2 is None:
            return x + out
        return F.leaky_relu(x + self.batch_norm2(out), LEAK)


class CropEncoder(nn.Module):
    """The crop of the image within the box as a map of the embedding's size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.conv1 = ResidualConvolutions(width, norm_at_end=True)
        self.conv2 = ResidualConvolutions(width, norm_at_end=True)
        self.conv3 = ResidualConvolutions(width, norm_at_end=True)
        self.conv4 = nn.Conv2d(width, width, 5, padding=2)

    def forward(self, crops: Tensor) -> Tensor:
        """Map (n, 3, y, x) to (n, width, y, x)."""
        out: Tensor = self.conv4(self.conv3(self.conv2(self.conv1(self.conv(crops)))))
        return out


class ContentPromptEncoder(TokenEncoder):
    """Boxes with their content and modality as prompts; there is no way for masks.

    Args:
        image_size: Side of the image that coordinates refer to, in pixels.
        grid: Side of the image embedding and of the crops.
        width: Features of a token.
    """

    def __init__(self, image_size: int, grid: int = 64, width: int = 256) -> None:
        super().__init__(image_size, grid, width)
        self.crop_nets = CropEncoder(width)
        self.clip_img_mlp = TwoLayers(CLIP_WIDTH, width, width)
        self.clip_text_mlp = TwoLayers(CLIP_WIDTH, width, width)
        self.mlps = TwoLayers(2 * width, 2 * width, width)
        self.categories = nn.Embedding(len(MODALITIES), width)

    def forward(self, boxes: Tensor, content: Content) -> tuple[Tensor, Tensor]:
        """Encode ``n`` boxes.

        Args:
            boxes: (n, 4), pixels as (x0, y0, x1, y1).
            content: Content of each box.

        Returns:
            Tokens (n, 4, width): two corners, content, modality; and the map of the crop (n, width, grid, grid).
        """
        modality = torch.cat((self.clip_text_mlp(content.text_features), self.categories(content.modality)), dim=-1)
        tokens = torch.stack((self.clip_img_mlp(content.image_features), self.mlps(modality)), dim=1)
        return torch.cat((self.box_tokens(boxes), tokens), dim=1), self.crop_nets(content.crops)


class ContentDecoder(MaskDecoder):
    """A mask decoder that steers the map by the attended content and modality before it is enlarged.

    Args:
        width: Features of tokens and of the image embedding.
    """

    def __init__(self, width: int = 256) -> None:
        super().__init__(width)
        self.convs = ResidualConvolutions(width, norm_at_end=False)
        self.conv1 = nn.Conv2d(2 * width, width, 1)
        self.c_conv = ResidualConvolutions(width, norm_at_end=False)
        self.w_lin = nn.Linear(width, width)
        self.b_lin = nn.Linear(width, width)
        self.m_conv = ResidualConvolutions(width, norm_at_end=False)
        self.category_prediction_head = TwoLayers(width, width // 4, len(MODALITIES))

    def answer(self, embedding: Tensor, positions: Tensor, sparse: Tensor, dense: Tensor) -> ContentMasks:
        """Predict ``n`` prompts.

        Args:
            embedding: (n, 256, y, x).
            positions: (1, 256, y, x).
            sparse: Prompt tokens (n, t, 256), content and modality last.
            dense: Maps of the crops (n, 256, y, x).
        """
        tokens, attended = self.attend(embedding, positions, sparse, dense)
        content, modality = tokens[:, -2], tokens[:, -1]
        weight, bias = self.w_lin(modality), self.b_lin(modality)
        by_modality = self.m_conv(_spread(weight) * attended + (_spread(bias) + attended))
        by_content = self.convs(dense + attended + _spread(content))
        steered = self.c_conv(self.conv1(torch.cat((by_modality, by_content), dim=1)))
        masks = self.draw(tokens, self.output_upscaling(steered), multimask=False)
        return ContentMasks(
            logits=masks.logits,
            iou=masks.iou,
            modality_logits=self.category_prediction_head(weight + bias + modality),
            content_token=sparse[:, -2],
            content_map=dense.mean((2, 3)),
        )


def _spread(vector: Tensor) -> Tensor:
    return vector[:, :, None, None]


class McpMedSAM(nn.Module):
    """The network; like the others of its family but for the content that goes with every box.

    Args:
        image_size: Side of the input.
        grid: Side of the image embedding.
    """

    def __init__(self, image_size: int = 256, grid: int = 64) -> None:
        super().__init__()
        self.image_encoder = TinyViT()
        self.prompt_encoder = ContentPromptEncoder(image_size, grid)
        self.mask_decoder = ContentDecoder()

    @property
    def image_size(self) -> int:
        """Side of the input in pixels; coordinates of boxes refer to it."""
        return self.prompt_encoder.image_size

    def encode_image(self, image: Tensor) -> Features:
        """Return features of images (b, 3, image_size, image_size), 0 to 1: the embedding, alone in its tuple."""
        return (self.image_encoder(image),)

    def decode(self, features: Features, boxes: Tensor, content: Content) -> ContentMasks:
        """Predict ``n`` boxes.

        Args:
            features: Features of ``b`` images; ``n`` is a multiple of ``b``, and each image has ``n / b`` boxes in a
            row.
            boxes: (n, 4), pixels of the input as (x0, y0, x1, y1).
            content: Content of each box.

        Raises:
            InputError: ``n`` is no multiple of ``b``.
        """
        sparse, dense = self.prompt_encoder(boxes, content)
        (embedding,) = repeated(features, boxes.shape[0])
        return self.mask_decoder.answer(embedding, self.prompt_encoder.positions(), sparse, dense)

    def forward(self, image: Tensor, boxes: Tensor, content: Content) -> ContentMasks:
        """Encode the images and predict the boxes; see ``encode_image`` and ``decode``."""
        return self.decode(self.encode_image(image), boxes, content)


def build(name: str = "mcp-medsam") -> McpMedSAM:
    """Return the network, with initial weights: images (b, 3, 256, 256), logits (n, 1, 256, 256)."""
    del name
    return McpMedSAM()
