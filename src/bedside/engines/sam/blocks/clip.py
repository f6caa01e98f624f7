"""CLIP with the ViT-B/32: pictures and short texts to features of one kind. Frozen; MCP-MedSAM's prompts use it.

Names of parameters are those under which such models are commonly published.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, per colour, 0 to 1."""
CONTEXT = 77
"""Most tokens of a text."""


class ClipAttention(nn.Module):
    """Attention with a bias in every projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (b, n, width) to the same shape; ``mask`` (n, n) is added to the scores."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        out: Tensor = self.out_proj(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))
        return out


class ClipPerceptron(nn.Module):
    """Four times as wide and back, with the logistic approximation of GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        hidden = self.fc1(x)
        out: Tensor = self.fc2(hidden * torch.sigmoid(1.702 * hidden))
        return out


class ClipLayer(nn.Module):
    """Attention and a perceptron, each after layer norm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_attn = ClipAttention(width, heads)
        self.layer_norm1 = nn.LayerNorm(width)
        self.mlp = ClipPerceptron(width)
        self.layer_norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (b, n, width) to the same shape."""
        x = x + self.self_attn(self.layer_norm1(x), mask)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class ClipLayers(nn.Module):
    """Layers one after another; named as published."""

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ClipLayer(width, heads) for _ in range(depth))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map (b, n, width) to the same shape."""
        for layer in self.layers:
            x = layer(x, mask)
        return x


class PatchEmbeddings(nn.Module):
    """Patches of a picture as tokens, with one before them that stands for all."""

    def __init__(self, width: int, side: int, patch: int) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.patch_embedding = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.position_embedding = nn.Embedding((side // patch) ** 2 + 1, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (b, 3, side, side) to (b, patches + 1, width)."""
        patches = self.patch_embedding(pictures).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(patches.shape[0], 1, -1)
        out: Tensor = torch.cat((first, patches), dim=1) + self.position_embedding.weight
        return out


class VisionTower(nn.Module):
    """Pictures to the feature of the token that stands for all of them."""

    def __init__(self, width: int, heads: int, depth: int, side: int, patch: int) -> None:
        super().__init__()
        self.embeddings = PatchEmbeddings(width, side, patch)
        self.pre_layrnorm = nn.LayerNorm(width)
        self.encoder = ClipLayers(width, heads, depth)
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, pictures: Tensor) -> Tensor:
        """Map (b, 3, side, side), normalised, to (b, width)."""
        out: Tensor = self.post_layernorm(self.encoder(self.pre_layrnorm(self.embeddings(pictures)))[:, 0])
        return out


class TokenEmbeddings(nn.Module):
    """Tokens of a text by their numbers and places."""

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(words, width)
        self.position_embedding = nn.Embedding(CONTEXT, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (b, n) to (b, n, width)."""
        out: Tensor = self.token_embedding(tokens) + self.position_embedding.weight[: tokens.shape[1]]
        return out


class TextTower(nn.Module):
    """Texts to the feature of their last token, which has seen all before it."""

    def __init__(self, width: int, heads: int, depth: int, words: int) -> None:
        super().__init__()
        self.embeddings = TokenEmbeddings(width, words)
        self.encoder = ClipLayers(width, heads, depth)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (b, n), the last of each the end of the text, to (b, width)."""
        n = tokens.shape[1]
        ahead = torch.full((n, n), float("-inf"), device=tokens.device).triu(1)
        out: Tensor = self.final_layer_norm(self.encoder(self.embeddings(tokens), ahead)[:, -1])
        return out


class Clip(nn.Module):
    """Both towers with their projections to common features.

    Args:
        features: Features of pictures and texts alike.
        widths: Widths of the towers of pictures and texts; a head has 64 features.
        depth: Layers of each tower.
        side: Side of the pictures.
        patch: Side of a patch.
        words: Number of tokens that there are.
    """

    def __init__(
        self,
        features: int = 512,
        widths: tuple[int, int] = (768, 512),
        depth: int = 12,
        side: int = 224,
        patch: int = 32,
        words: int = 49408,
    ) -> None:
        super().__init__()
        self.side = side
        self.vision_model = VisionTower(widths[0], widths[0] // 64, depth, side, patch)
        self.text_model = TextTower(widths[1], widths[1] // 64, depth, words)
        self.visual_projection = nn.Linear(widths[0], features, bias=False)
        self.text_projection = nn.Linear(widths[1], features, bias=False)

    def image_features(self, crops: Tensor) -> Tensor:
        """Map pictures (n, 3, side, side), 0 to 1, to (n, features)."""
        mean, deviation = (crops.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        out: Tensor = self.visual_projection(self.vision_model((crops - mean) / deviation))
        return out

    def plain_features(self, crops: Tensor) -> Tensor:
        """Map pictures (n, 3, side, side), 0 to 1 and not normalised, as MCP-MedSAM hands them over, to (n,
        features).
        """
        out: Tensor = self.visual_projection(self.vision_model(crops))
        return out

    def token_features(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Map texts as numbers of tokens, begin and end included, to (len(texts), features)."""
        device = self.text_projection.weight.device
        found = [self.text_projection(self.text_model(torch.tensor([text], device=device))) for text in texts]
        return torch.cat(found)
