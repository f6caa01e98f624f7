"""The plain vision transformer of SAM: most blocks attend within windows, a few over the whole image."""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.sam.blocks.common import embedding_neck, initialise_linear
from bedside.engines.sam.blocks.windows import from_windows, to_windows

EPS = 1e-6


class PatchEmbedding(nn.Module):
    """Square patches of the image, each a linear function of its pixels."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, 3, y, x) to (b, y / patch, x / patch, width)."""
        out: Tensor = self.proj(image)
        return out.permute(0, 2, 3, 1)


class RelativeAttention(nn.Module):
    """Attention among the pixels of a square, which also depends on the offset between two pixels in y and in x.

    Args:
        width: Features of a pixel.
        heads: Number of heads.
        side: Side of the square.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.side = side
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        # One row an offset, from -(side - 1), where the key is that far after the query, to side - 1.
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, width // heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, width // heads))

    def forward(self, x: Tensor) -> Tensor:
        """Map squares (n, side, side, width) to the same shape."""
        q, k, v = self.qkv(x.flatten(1, 2)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        out = self._attend(q, k, v)
        projected: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return projected.reshape(x.shape)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map queries, keys and values (n, heads, side ** 2, d) to values of the same shape.

        What an offset adds to a score is a product, too: of the query's scores with every row and column, and of a key
        that is 1 at its own row and column. With these as further features no matrix of all pairs is ever stored.
        """
        width, side = q.shape[-1], self.side
        places = torch.eye(side, dtype=q.dtype, device=q.device)
        own = torch.cat([places.repeat_interleave(side, 0), places.repeat(side, 1)], dim=1)
        queries = torch.cat([q * width**-0.5, self._offset_scores(q).to(q.dtype)], dim=-1)
        keys = torch.cat([k, own.expand(*k.shape[:2], -1, -1)], dim=-1)
        # Fast kernels ask for values as wide as keys.
        out = F.scaled_dot_product_attention(queries, keys, F.pad(v, (0, 2 * side)), scale=1.0)
        return out[..., :width]

    def _offset_scores(self, queries: Tensor) -> Tensor:
        """Return what its offset from every row and every column adds to a query's scores: (n, heads, side ** 2, 2 *
        side).
        """
        along = torch.arange(self.side, device=queries.device)
        offsets = along[:, None] - along[None, :] + self.side - 1
        grid = torch.unflatten(queries, 2, (self.side, self.side))
        in_y = torch.einsum("nhyxd,ykd->nhyxk", grid, self.rel_pos_h[offsets])
        in_x = torch.einsum("nhyxd,xkd->nhyxk", grid, self.rel_pos_w[offsets])
        return torch.cat([in_y, in_x], dim=-1).flatten(2, 3)


class GeluPerceptron(nn.Module):
    """The perceptron of a transformer block, with GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.lin2(F.gelu(self.lin1(x)))
        return out


class ViTBlock(nn.Module):
    """Attention and a perceptron, each after layer norm and added to its input.

    Args:
        width: Features of a pixel.
        heads: Number of heads.
        side: Side of the squares within which pixels attend to each other.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = RelativeAttention(width, heads, side)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = GeluPerceptron(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, y, x, width) to the same shape."""
        attended = self.attn(to_windows(self.norm1(x), self.side))
        x = x + from_windows(attended, x.shape[1], x.shape[2])
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ViT(nn.Module):
    """Image encoder of SAM; its embedding has the input's side divided by that of a patch.

    Args:
        image_size: Side of the input.
        patch: Side of a patch.
        width: Features of a pixel of the embedding.
        depth: Number of blocks.
        heads: Heads of each block.
        side: Side of the windows.
        whole: Blocks that attend over the whole image.
    """

    def __init__(
        self,
        image_size: int = 1024,
        patch: int = 16,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        side: int = 14,
        whole: Collection[int] = (2, 5, 8, 11),
    ) -> None:
        super().__init__()
        grid = image_size // patch
        self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, width))
        self.patch_embed = PatchEmbedding(patch, width)
        self.blocks = nn.ModuleList(ViTBlock(width, heads, grid if n in whole else side) for n in range(depth))
        self.neck = embedding_neck(width)
        self.apply(initialise_linear)

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, 3, image_size, image_size) to the embedding (b, 256, image_size / patch, image_size / patch)."""
        x = self.patch_embed(image) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        embedding: Tensor = self.neck(x.permute(0, 3, 1, 2))
        return embedding
