"""EfficientViT-SAM: convolutions, linear attention at a 32nd of the size, and a neck that joins three scales."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.sam.blocks.common import LayerNorm2d

EPS = 1e-6
WIDTHS = (32, 64, 128, 256, 512)
HEAD_WIDTH = 32
EMBEDDING_WIDTH = 256
Size = Literal["l0", "l1", "l2"]
DEPTHS: dict[Size, tuple[int, ...]] = {"l0": (1, 1, 1, 4, 4), "l1": (1, 1, 1, 6, 6), "l2": (1, 2, 2, 8, 8)}
"""Blocks of each stage after the one that reduces the size."""
NECK_DEPTHS: dict[Size, int] = {"l0": 4, "l1": 8, "l2": 12}


class ConvLayer(nn.Module):
    """A convolution, batch normalisation or a bias, and GELU or nothing; keeps the size but for the stride.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        kernel: Side of the kernel, odd.
        stride: Stride of the convolution.
        groups: Groups of the convolution.
        bias: Whether the convolution has one.
        norm: Whether it is normalised.
        activation: Whether GELU follows.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: bool = True,
        activation: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=bias
        )
        self.norm = nn.BatchNorm2d(channels_out, eps=EPS) if norm else None
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels_in, y, x) to (b, channels_out, y / stride, x / stride)."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.gelu(x, approximate="tanh") if self.activation else x


class PlainBlock(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3, activation=True)
        self.conv2 = ConvLayer(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to the same shape."""
        out: Tensor = self.conv2(self.conv1(x))
        return out


class FusedInverted(nn.Module):
    """Widen by a 3x3 convolution, narrow by a 1x1."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int = 1) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.spatial_conv = ConvLayer(channels_in, hidden, 3, stride=stride, activation=True)
        self.point_conv = ConvLayer(hidden, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels_in, y, x) to (b, channels_out, y / stride, x / stride)."""
        out: Tensor = self.point_conv(self.spatial_conv(x))
        return out


class Inverted(nn.Module):
    """Widen, convolve each channel, narrow; only the last convolution is normalised."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int = 1) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.inverted_conv = ConvLayer(channels_in, hidden, bias=True, norm=False, activation=True)
        self.depth_conv = ConvLayer(
            hidden, hidden, 3, stride=stride, groups=hidden, bias=True, norm=False, activation=True
        )
        self.point_conv = ConvLayer(hidden, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels_in, y, x) to (b, channels_out, y / stride, x / stride)."""
        out: Tensor = self.point_conv(self.depth_conv(self.inverted_conv(x)))
        return out


class LinearAttention(nn.Module):
    """Attention whose cost grows with the number of pixels and not with its square, over the map and a blurred copy.

    The weight of a key is the product of two rectified vectors and not an exponential, so that the sum over all pixels
    can be taken before any query is known.

    Args:
        channels: Channels of the input and output.
        kernel: Side of the depthwise convolution that makes the second scale.
    """

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        heads = channels // HEAD_WIDTH
        self.qkv = ConvLayer(channels, 3 * channels, norm=False)
        self.aggreg = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Conv2d(3 * channels, 3 * channels, kernel, padding=kernel // 2, groups=3 * channels, bias=False),
                    nn.Conv2d(3 * channels, 3 * channels, 1, groups=3 * heads, bias=False),
                )
            ]
        )
        self.proj = ConvLayer(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to the same shape."""
        qkv = self.qkv(x)
        scales = torch.cat([qkv, *(op(qkv) for op in self.aggreg)], dim=1)
        out: Tensor = self.proj(rectified_attention(scales, HEAD_WIDTH))
        return out


def rectified_attention(qkv: Tensor, width: int, eps: float = 1e-15) -> Tensor:
    """Return weighted means of the values, with weights max(q, 0) . max(k, 0).

    Args:
        qkv: (b, heads * 3 * width, y, x); each head's queries, keys and values lie together.
        width: Features of a head.
        eps: Added to the sum of the weights, which may be nothing.

    Returns:
        (b, heads * width, y, x).
    """
    # The sums run over all pixels: half precision would overflow.
    with _full_precision(qkv.device.type):
        q, k, v = torch.unflatten(qkv.float().flatten(2), 1, (-1, 3, width)).unbind(2)
        k = F.relu(k).transpose(-1, -2)
        # With a row of ones below the values, the sum of the weights comes out of the same product.
        out = F.pad(v, (0, 0, 0, 1), value=1.0) @ k @ F.relu(q)
        out = out[:, :, :-1] / (out[:, :, -1:] + eps)
    return torch.unflatten(out.flatten(1, 2), -1, qkv.shape[-2:]).to(qkv.dtype)


def _full_precision(device: str) -> AbstractContextManager[object]:
    # The meta device, which computes shapes only, knows no autocast.
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


class Residual(nn.Module):
    """A block that may be added to its input; named as in the published checkpoints."""

    def __init__(self, main: nn.Module, *, shortcut: bool = True) -> None:
        super().__init__()
        self.main = main
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to whatever the block gives."""
        out: Tensor = self.main(x)
        return out + x if self.shortcut else out


class AttentionBlock(nn.Module):
    """Linear attention over the whole map, then convolutions around each pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.context_module = Residual(LinearAttention(channels))
        self.local_module = Residual(Inverted(channels, channels, 6))

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to the same shape."""
        out: Tensor = self.local_module(self.context_module(x))
        return out


class Operations(nn.Module):
    """Layers one after another; named as in the published checkpoints."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.op_list = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return whatever the layers make of ``x``."""
        for layer in self.op_list:
            x = layer(x)
        return x


class Backbone(nn.Module):
    """Five stages, each at half the size of the one before, the first at half the image's."""

    def __init__(self, depths: Sequence[int]) -> None:
        super().__init__()
        w = WIDTHS
        self.stages = nn.ModuleList(
            [
                Operations(
                    ConvLayer(3, w[0], 3, stride=2, activation=True),
                    *(Residual(PlainBlock(w[0])) for _ in range(depths[0])),
                ),
                *(
                    Operations(
                        Residual(FusedInverted(w[s - 1], w[s], 16, stride=2), shortcut=False),
                        *(Residual(FusedInverted(w[s], w[s], 4)) for _ in range(depths[s])),
                    )
                    for s in (1, 2)
                ),
                Operations(
                    Residual(Inverted(w[2], w[3], 16, stride=2), shortcut=False),
                    *(Residual(Inverted(w[3], w[3], 4)) for _ in range(depths[3])),
                ),
                Operations(
                    Residual(Inverted(w[3], w[4], 24, stride=2), shortcut=False),
                    *(AttentionBlock(w[4]) for _ in range(depths[4])),
                ),
            ]
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map (b, 3, y, x) to the map of every stage, finest first."""
        maps = []
        x = image
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Neck(nn.Module):
    """The last three stages brought to one size and added up, then refined."""

    def __init__(self, depth: int, grid: int) -> None:
        super().__init__()
        e = EMBEDDING_WIDTH
        self.grid = grid
        self.input_ops = nn.ModuleList(Operations(ConvLayer(width, e)) for width in WIDTHS[:1:-1])
        self.middle = Operations(*(Residual(FusedInverted(e, e, 1)) for _ in range(depth)))
        self.output_ops = nn.ModuleList([Operations(ConvLayer(e, e, bias=True, norm=False))])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map maps of all stages to (b, 256, grid, grid)."""
        joined = [self._resized(op(x)) for op, x in zip(self.input_ops, maps[:1:-1], strict=True)]
        total = joined[0] + joined[1] + joined[2]
        out: Tensor = self.output_ops[0](self.middle(total))
        return out

    def _resized(self, x: Tensor) -> Tensor:
        if x.shape[-1] == self.grid and x.shape[-2] == self.grid:
            return x
        return F.interpolate(x, size=(self.grid, self.grid), mode="bicubic", align_corners=False)


class EfficientViT(nn.Module):
    """Image encoder; its embedding always has the side ``grid``, whatever that of the input.

    Args:
        size: "l0", "l1" or "l2".
        grid: Side of the embedding.
    """

    def __init__(self, size: Size, grid: int = 64) -> None:
        super().__init__()
        self.backbone = Backbone(DEPTHS[size])
        self.neck = Neck(NECK_DEPTHS[size], grid)
        self.norm = LayerNorm2d(EMBEDDING_WIDTH, eps=EPS)

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, 3, y, x), sides multiples of 32, to the embedding (b, 256, grid, grid)."""
        embedding: Tensor = self.norm(self.neck(self.backbone(image)))
        return embedding
