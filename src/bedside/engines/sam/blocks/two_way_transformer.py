"""The transformer between prompts and image of the SAM family: each attends to the other in turn."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5
"""torch's own, which the published code keeps where it sets none."""


class Attention(nn.Module):
    """Attention with separate projections, which may work in fewer features than it takes and gives.

    Args:
        width: Features of the input and output.
        heads: Number of heads.
        reduction: Factor by which the inner features are fewer.
    """

    def __init__(self, width: int, heads: int, reduction: int = 1) -> None:
        super().__init__()
        inner = width // reduction
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Map queries (b, n, width), keys and values (b, m, width) to (b, n, width)."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, x in ((self.q_proj, queries), (self.k_proj, keys), (self.v_proj, values))
        )
        out: Tensor = self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class TokenPerceptron(nn.Module):
    """The perceptron of a transformer block, with ReLU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.lin2(F.relu(self.lin1(x)))
        return out


class TwoWayBlock(nn.Module):
    """Tokens attend to each other and to the image, pass a perceptron, and the image attends to them.

    Args:
        width: Features of tokens and pixels.
        heads: Heads of every attention.
        hidden: Hidden features of the perceptron.
        first: Whether this is the first block, in which the tokens are nothing but their own positions yet: these are
            then neither added again nor kept beside the prediction.
        epsilon: Epsilon of the normalisations.
    """

    def __init__(self, width: int, heads: int, hidden: int, *, first: bool, epsilon: float = EPSILON) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width, epsilon)
        self.cross_attn_token_to_image = Attention(width, heads, reduction=2)
        self.norm2 = nn.LayerNorm(width, epsilon)
        self.mlp = TokenPerceptron(width, hidden)
        self.norm3 = nn.LayerNorm(width, epsilon)
        self.norm4 = nn.LayerNorm(width, epsilon)
        self.cross_attn_image_to_token = Attention(width, heads, reduction=2)

    def forward(
        self, tokens: Tensor, pixels: Tensor, token_positions: Tensor, pixel_positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Map tokens (b, t, width) and pixels (b, p, width) with positions of the same shapes to new tokens and
        pixels.
        """
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_positions
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        placed_pixels = pixels + pixel_positions
        tokens = self.norm2(
            tokens + self.cross_attn_token_to_image(tokens + token_positions, placed_pixels, pixels),
        )
        tokens = self.norm3(tokens + self.mlp(tokens))
        pixels = self.norm4(pixels + self.cross_attn_image_to_token(placed_pixels, tokens + token_positions, tokens))
        return tokens, pixels


class TwoWayTransformer(nn.Module):
    """Blocks in which tokens and image attend to each other, then a last look of the tokens at the image.

    Args:
        depth: Number of blocks.
        width: Features of tokens and pixels.
        heads: Heads of every attention.
        hidden: Hidden features of the perceptrons.
        epsilon: Epsilon of the normalisations; EfficientViT-SAM's code sets it lower than the others.
    """

    def __init__(
        self, depth: int = 2, width: int = 256, heads: int = 8, hidden: int = 2048, epsilon: float = EPSILON
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(width, heads, hidden, first=n == 0, epsilon=epsilon) for n in range(depth)
        )
        self.final_attn_token_to_image = Attention(width, heads, reduction=2)
        self.norm_final_attn = nn.LayerNorm(width, epsilon)

    def forward(self, embedding: Tensor, positions: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Let tokens and image attend to each other.

        Args:
            embedding: (n, width, y, x).
            positions: (1 or n, width, y, x), added wherever a pixel is asked for or compared.
            tokens: (n, t, width).

        Returns:
            Tokens (n, t, width) and the map (n, width, y, x).
        """
        pixels = embedding.flatten(2).transpose(1, 2)
        pixel_positions = positions.flatten(2).transpose(1, 2)
        token_positions = tokens
        for block in self.layers:
            tokens, pixels = block(tokens, pixels, token_positions, pixel_positions)
        looked = self.final_attn_token_to_image(tokens + token_positions, pixels + pixel_positions, pixels)
        return self.norm_final_attn(tokens + looked), pixels.transpose(1, 2).reshape(embedding.shape)
