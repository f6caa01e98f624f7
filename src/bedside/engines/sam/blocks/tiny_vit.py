"""TinyViT: convolutions, then attention within windows with a depthwise convolution between the two halves of a block.

The variant for medical images keeps the image's full resolution in its stem, so that a small input of 256 x 256 still
gives an embedding of 64 x 64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.sam.blocks.common import ConvNorm, embedding_neck, initialise_linear, pixel_stem
from bedside.engines.sam.blocks.windows import from_windows, to_windows


class Stem(nn.Module):
    """Two 1x1 convolutions from the image to features of every pixel."""

    def __init__(self, channels_out: int) -> None:
        super().__init__()
        self.seq = pixel_stem(channels_out)

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, 3, y, x) to (b, channels_out, y, x)."""
        out: Tensor = self.seq(image)
        return out


class InvertedResidual(nn.Module):
    """Widen, convolve each channel, narrow, and add the input."""

    def __init__(self, channels: int, expansion: int = 4) -> None:
        super().__init__()
        hidden = channels * expansion
        self.conv1 = ConvNorm(channels, hidden)
        self.conv2 = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.conv3 = ConvNorm(hidden, channels, scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to the same shape."""
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class Merge(nn.Module):
    """The step to the next stage: other channels, and a stride."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels_in, channels_out)
        self.conv2 = ConvNorm(channels_out, channels_out, 3, stride=stride, groups=channels_out)
        self.conv3 = ConvNorm(channels_out, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels_in, y, x) to (b, channels_out, y / stride, x / stride)."""
        out: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return out


class BiasedAttention(nn.Module):
    """Attention among all pixels of a window, with a learned bias for every distance between two of them.

    Args:
        width: Features of a pixel.
        heads: Number of heads.
        side: Side of a window.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.side = side
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def bias(self) -> Tensor:
        """Return the bias of every pair of pixels, (heads, side ** 2, side ** 2), which does not know left from
        right.
        """
        along = torch.arange(self.side, device=self.attention_biases.device)
        distance = (along[:, None] - along[None, :]).abs()
        # Entry (y, x, y', x') of the table's index: |y - y'| rows of the table and |x - x'| within one.
        index = distance[:, None, :, None] * self.side + distance[None, :, None, :]
        return self.attention_biases[:, index.reshape(self.side**2, self.side**2)]

    def forward(self, x: Tensor) -> Tensor:
        """Map windows (n, side ** 2, width) to the same shape."""
        # Each head's queries, keys and values lie together.
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias().to(q.dtype))
        projected: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return projected


class NormedPerceptron(nn.Module):
    """Layer norm, then a perceptron with GELU."""

    def __init__(self, width: int, expansion: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width * expansion)
        self.fc2 = nn.Linear(width * expansion, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class TinyViTBlock(nn.Module):
    """Attention within windows, a depthwise convolution that lets neighbouring windows see each other, a perceptron."""

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.attn = BiasedAttention(width, heads, side)
        self.mlp = NormedPerceptron(width)
        self.local_conv = ConvNorm(width, width, 3, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, width, y, x) to the same shape."""
        pixels: Tensor = x.permute(0, 2, 3, 1)
        windows = to_windows(pixels, self.side)
        attended = self.attn(windows.flatten(1, 2)).reshape(windows.shape)
        pixels = pixels + from_windows(attended, x.shape[2], x.shape[3])
        pixels = self.local_conv(pixels.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        pixels = pixels + self.mlp(pixels)
        return pixels.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks of one width, then the step to the next stage where there is one."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, width, y, x) to (b, next width, y / stride, x / stride)."""
        for block in self.blocks:
            x = block(x)
        if self.downsample is not None:
            x = self.downsample(x)
        return x


class TinyViT(nn.Module):
    """Image encoder with a convolutional stage and three of attention; its embedding has a quarter of the input's side.

    Args:
        widths: Channels of each stage.
        depths: Blocks of each stage.
        heads: Heads of each stage of attention.
        sides: Side of the windows in each stage of attention.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 160, 320),
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (4, 5, 10),
        sides: Sequence[int] = (7, 14, 7),
    ) -> None:
        super().__init__()
        self.patch_embed = Stem(widths[0])
        self.layers = nn.ModuleList([Stage([InvertedResidual(widths[0]) for _ in range(depths[0])], None)])
        for width, depth, n, side in zip(widths[1:], depths[1:], heads, sides, strict=True):
            self.layers.append(Stage([TinyViTBlock(width, n, side) for _ in range(depth)], None))
        for stage, layer in enumerate(self.layers[:-1]):
            # The last step only widens: the embedding is as fine as the third stage.
            stride = 1 if stage == len(widths) - 2 else 2
            layer.downsample = Merge(widths[stage], widths[stage + 1], stride)
        self.neck = embedding_neck(widths[-1])
        self.apply(initialise_linear)

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, 3, y, x) to the embedding (b, 256, y / 4, x / 4)."""
        x = self.patch_embed(image)
        for layer in self.layers:
            x = layer(x)
        embedding: Tensor = self.neck(x)
        return embedding
