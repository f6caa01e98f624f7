"""The Swin transformer of Swin-LiteMedSAM: windows that shift by half their side in every second block."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.sam.blocks.common import ConvNorm, embedding_neck, initialise_linear
from bedside.engines.sam.blocks.tiny_vit import Stem
from bedside.engines.sam.blocks.windows import from_windows, to_windows

SIDE = 8
HEAD_WIDTH = 32


def seam_mask(side: int, axis: int) -> Tensor:
    """Return what a window across the map's seam adds to its scores: minus infinity between its two halves.

    After a cyclic shift the last windows along an axis hold pixels from both ends of the map, which are no neighbours.

    Args:
        side: Side of a window.
        axis: 0 for the windows of the last row, whose upper and lower halves part; 1 for those of the last column.

    Returns:
        (side ** 2, side ** 2), 0 or minus infinity.
    """
    half = torch.arange(side) >= side // 2
    of_pixel = (half[:, None] if axis == 0 else half[None, :]).expand(side, side).flatten()
    apart = of_pixel[:, None] != of_pixel[None, :]
    return torch.zeros(side**2, side**2).masked_fill(apart, float("-inf"))


class ShiftedAttention(nn.Module):
    """Attention within windows, with a bias for the offset between two pixels that all heads share.

    Args:
        width: Features of a pixel.
        heads: Heads, of ``HEAD_WIDTH`` features each.
        shifted: Whether the windows are shifted by half their side, cyclically.
    """

    upper_lower_mask: nn.Parameter
    left_right_mask: nn.Parameter

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        inner = heads * HEAD_WIDTH
        self.heads = heads
        self.shifted = shifted
        if shifted:
            # Constants, but the published checkpoints hold them as parameters.
            self.upper_lower_mask = nn.Parameter(seam_mask(SIDE, axis=0), requires_grad=False)
            self.left_right_mask = nn.Parameter(seam_mask(SIDE, axis=1), requires_grad=False)
        self.pos_embedding = nn.Parameter(torch.empty(2 * SIDE - 1, 2 * SIDE - 1))
        nn.init.trunc_normal_(self.pos_embedding, std=0.02)
        self.to_qkv = nn.Linear(width, 3 * inner, bias=False)
        self.to_out = nn.Linear(inner, width)

    def bias(self) -> Tensor:
        """Return the bias of every pair of pixels: (SIDE ** 2, SIDE ** 2), of the offset from the query to the key."""
        along = torch.arange(SIDE, device=self.pos_embedding.device)
        offset = along[None, :] - along[:, None] + SIDE - 1
        table = self.pos_embedding[offset[:, None, :, None], offset[None, :, None, :]]
        return table.reshape(SIDE**2, SIDE**2)

    def mask(self, rows: int, columns: int) -> Tensor:
        """Return what is added to the scores of each window, (1 or rows * columns, 1, SIDE ** 2, SIDE ** 2)."""
        bias = self.bias()[None, None]
        if not self.shifted:
            return bias
        device = bias.device
        last_row = (torch.arange(rows, device=device) == rows - 1)[:, None, None, None]
        last_column = (torch.arange(columns, device=device) == columns - 1)[None, :, None, None]
        nothing = torch.zeros((), device=device, dtype=bias.dtype)
        seams = torch.where(last_row, self.upper_lower_mask, nothing)
        seams = seams + torch.where(last_column, self.left_right_mask, nothing)
        return bias + seams.flatten(0, 1)[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, y, x, width), sides multiples of ``SIDE``, to the same shape."""
        b, height, width, _ = x.shape
        shift = SIDE // 2 if self.shifted else 0
        if shift:
            x = torch.roll(x, (-shift, -shift), dims=(1, 2))
        windows = to_windows(x, SIDE).flatten(1, 2)
        q, k, v = self.to_qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mask = self.mask(height // SIDE, width // SIDE).to(q.dtype)
        # A window's mask is the same in every image; the windows of one image lie together.
        mask = mask.repeat(b, 1, 1, 1) if self.shifted else mask
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out = self.to_out(out.transpose(1, 2).flatten(2)).unflatten(1, (SIDE, SIDE))
        out = from_windows(out, height, width)
        return torch.roll(out, (shift, shift), dims=(1, 2)) if shift else out


class Normed(nn.Module):
    """A layer after layer norm; named as in the published checkpoints."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.fn(self.norm(x))
        return out


class Residual(nn.Module):
    """A layer added to its input; named as in the published checkpoints."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.fn(x) + x
        return out


class PixelPerceptron(nn.Module):
    """Four times as wide and back, with GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.net(x)
        return out


class SwinBlock(nn.Module):
    """Attention within windows, a depthwise convolution, a perceptron."""

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        super().__init__()
        self.attention_block = Residual(Normed(width, ShiftedAttention(width, heads, shifted=shifted)))
        self.local_conv = ConvNorm(width, width, 3, groups=width)
        self.mlp_block = Residual(Normed(width, PixelPerceptron(width)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, y, x, width) to the same shape."""
        x = self.attention_block(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        out: Tensor = self.mlp_block(x)
        return out


class MergePatches(nn.Module):
    """Square patches of pixels, each a linear function of all their features."""

    def __init__(self, channels_in: int, channels_out: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(channels_in * factor**2, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels_in, y, x) to (b, y / factor, x / factor, channels_out)."""
        out: Tensor = self.linear(F.pixel_unshuffle(x, self.factor).permute(0, 2, 3, 1))
        return out


class SwinStage(nn.Module):
    """Patches, then pairs of a block with regular and a block with shifted windows."""

    def __init__(self, channels_in: int, channels_out: int, factor: int, depth: int, heads: int) -> None:
        super().__init__()
        self.downsample = MergePatches(channels_in, channels_out, factor)
        self.blocks = nn.ModuleList(
            nn.ModuleList(SwinBlock(channels_out, heads, shifted=shifted) for shifted in (False, True))
            for _ in range(depth // 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels_in, y, x) to (b, channels_out, y / factor, x / factor)."""
        x = self.downsample(x)
        for pair in self.blocks:
            if isinstance(pair, nn.ModuleList):
                for block in pair:
                    x = block(x)
        return x.permute(0, 3, 1, 2)


class Swin(nn.Module):
    """Image encoder of four stages, of which the last two keep the size; every stage's map goes to the decoder.

    Args:
        widths: Channels of the stem and of each stage.
        factors: Factor by which each stage reduces the size.
        depths: Blocks of each stage, even.
        heads: Heads of each stage.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 160, 320, 320),
        factors: Sequence[int] = (2, 2, 1, 1),
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (2, 4, 5, 10),
    ) -> None:
        super().__init__()
        self.patch_embed = Stem(widths[0])
        settings = list(zip(widths[:-1], widths[1:], factors, depths, heads, strict=True))
        self.stage1, self.stage2, self.stage3, self.stage4 = (SwinStage(*setting) for setting in settings)
        self.neck = embedding_neck(widths[-1])
        self.apply(initialise_linear)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (b, 3, y, x), sides multiples of 32, to the embedding (b, 256, y / 4, x / 4) and the map of each
        stage.
        """
        x = self.patch_embed(image)
        maps = []
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
            maps.append(x)
        return self.neck(x), *maps
