"""Layers that several networks share: normalisation over channels, convolution with batch norm, small perceptrons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of every pixel of a map.

    Args:
        channels: Channels of the map.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, y, x) to the same shape."""
        centred = x - x.mean(1, keepdim=True)
        scaled = centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + self.eps)
        return scaled * self.weight[:, None, None] + self.bias[:, None, None]


@runtime_checkable
class Fusible(Protocol):
    """A layer that one convolution can replace once training is over."""

    def fused(self) -> nn.Conv2d:
        """Return the convolution that computes what the layer does in evaluation mode."""


class ConvNorm(nn.Module):
    """A convolution without bias, then batch normalisation; the output has the input's size divided by ``stride``.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        kernel: Side of the kernel, odd.
        stride: Stride of the convolution.
        groups: Groups of the convolution; ``channels_in`` makes it depthwise.
        scale: Initial weight of the normalisation; 0 where the layer ends a residual branch, which then starts as
            nothing.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels_out)
        nn.init.constant_(self.bn.weight, scale)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, y, x) to (batch, channels_out, y / stride, x / stride)."""
        out: Tensor = self.bn(self.c(x))
        return out

    @torch.no_grad()
    def fused(self) -> nn.Conv2d:
        """Return one convolution with bias in the place of both layers."""
        return with_norm(self.c, self.bn)


@torch.no_grad()
def with_norm(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A copy of ``convolution`` (padded to keep the size) that also does what ``norm`` does in evaluation mode."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("a normalisation without running statistics cannot be fused")
    kernel = (convolution.kernel_size[0], convolution.kernel_size[1])
    fused = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        kernel,
        stride=(convolution.stride[0], convolution.stride[1]),
        padding=kernel[0] // 2,
        groups=convolution.groups,
        device=convolution.weight.device,
        dtype=convolution.weight.dtype,
    )
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    before = torch.zeros_like(norm.running_mean) if convolution.bias is None else convolution.bias
    fused.weight.copy_(convolution.weight * scale[:, None, None, None])
    if fused.bias is not None:
        fused.bias.copy_(norm.bias + (before - norm.running_mean) * scale)
    return fused


def fuse(module: nn.Module) -> None:
    """Replace, in place, every layer below ``module`` that can be by its one convolution. For inference only."""
    for name, child in module.named_children():
        if isinstance(child, Fusible):
            module.add_module(name, child.fused())
        else:
            fuse(child)


class Perceptron(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        widths: Features of the input, of each hidden layer, and of the output.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., widths[0]) to (..., widths[-1])."""
        for number, layer in enumerate(self.layers):
            x = layer(F.relu(x) if number else x)
        return x


def embedding_neck(channels_in: int, channels_out: int = 256) -> nn.Sequential:
    """Return the layers between an image encoder's last map and the embedding, which keep its size."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        LayerNorm2d(channels_out),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        LayerNorm2d(channels_out),
    )


def pixel_stem(channels_out: int) -> nn.Sequential:
    """Return two 1x1 convolutions from an RGB image to features of the same size."""
    return nn.Sequential(ConvNorm(3, channels_out // 2), nn.GELU(), ConvNorm(channels_out // 2, channels_out))


def initialise_linear(module: nn.Module) -> None:
    """Small normal weights and no bias, if ``module`` is linear: the usual start of transformers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
