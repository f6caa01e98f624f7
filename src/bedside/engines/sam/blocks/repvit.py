"""RepViT-M1.0 for small images: convolutions whose parallel branches become one when training is over."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.sam.blocks.common import ConvNorm, embedding_neck, with_norm

STAGES = ((56, 3, 1), (112, 4, 2), (224, 16, 2), (448, 3, 1))
"""Width, blocks and stride of each stage; every stage but the first begins with the block that changes width."""


class RepDepthwise(nn.Module):
    """A 3x3 and a 1x1 depthwise convolution and the input itself, added up and normalised."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels, 3, groups=channels)
        self.conv1 = nn.Conv2d(channels, channels, 1, groups=channels)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to the same shape."""
        out: Tensor = self.bn(self.conv(x) + self.conv1(x) + x)
        return out

    @torch.no_grad()
    def fused(self) -> nn.Conv2d:
        """Return one 3x3 depthwise convolution: the other two branches only see the centre of its kernel."""
        total = self.conv.fused()
        if total.bias is None or self.conv1.bias is None:
            raise TypeError("a branch without bias")
        total.weight[:, :, 1:2, 1:2] += self.conv1.weight + 1
        total.bias += self.conv1.bias
        return with_norm(total, self.bn)


class SqueezeExcite(nn.Module):
    """Channels weighted by what the whole map holds.

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # A quarter of the channels, rounded to a multiple of 8.
        hidden = (channels // 4 + 4) // 8 * 8
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to the same shape."""
        weights = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(weights)


class Residual(nn.Module):
    """Layers added to their input; named as in the published checkpoints."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels, y, x) to the same shape."""
        out: Tensor = x + self.m(x)
        return out


def channel_mixer(channels_in: int, channels_out: int) -> nn.Sequential:
    """Twice as wide and back, by 1x1 convolutions."""
    hidden = 2 * channels_in
    # Added to its input, it starts as nothing; where the width changes there is no input to add it to.
    scale = 0.0 if channels_in == channels_out else 1.0
    return nn.Sequential(ConvNorm(channels_in, hidden), nn.GELU(), ConvNorm(hidden, channels_out, scale=scale))


class RepViTBlock(nn.Module):
    """Mix the pixels of each channel, then the channels of each pixel.

    Args:
        channels_in: Channels of the input.
        channels_out: Channels of the output.
        stride: 1 or 2.
        squeeze: Whether channels are weighted by the whole map between the two.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, squeeze: bool) -> None:
        super().__init__()
        weighting = SqueezeExcite(channels_in) if squeeze else nn.Identity()
        if stride == 2:
            self.token_mixer = nn.Sequential(
                ConvNorm(channels_in, channels_in, 3, stride=2, groups=channels_in),
                weighting,
                ConvNorm(channels_in, channels_out),
            )
            channels_in = channels_out
        else:
            self.token_mixer = nn.Sequential(RepDepthwise(channels_in), weighting)
        mixer = channel_mixer(channels_in, channels_out)
        self.channel_mixer = Residual(mixer) if channels_in == channels_out else mixer

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, channels_in, y, x) to (b, channels_out, y / stride, x / stride)."""
        out: Tensor = self.channel_mixer(self.token_mixer(x))
        return out


def _blocks(stages: Sequence[tuple[int, int, int]]) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    width = stages[0][0]
    for stage, (channels, depth, stride) in enumerate(stages):
        # The block that begins a later stage is none of those of which every second one weights its channels, and
        # the last block of the finer stages weights none either.
        changes = int(stage > 0)
        for number in range(depth):
            last = number == depth - 1
            squeeze = number >= changes and (number - changes) % 2 == 0 and not last
            blocks.append(RepViTBlock(width, channels, stride if number == 0 else 1, squeeze=squeeze))
            width = channels
    return blocks


class RepViT(nn.Module):
    """Image encoder with a stem at full resolution; its embedding has a quarter of the input's side.

    Args:
        stages: Width, blocks and stride of each stage.
    """

    def __init__(self, stages: Sequence[tuple[int, int, int]] = STAGES) -> None:
        super().__init__()
        width = stages[0][0]
        stem = nn.Sequential(ConvNorm(3, width // 2, 3), nn.GELU(), ConvNorm(width // 2, width, 3))
        self.features = nn.ModuleList([stem, *_blocks(stages)])
        self.neck = embedding_neck(stages[-1][0])

    def forward(self, image: Tensor) -> Tensor:
        """Map (b, 3, y, x) to the embedding (b, 256, y / 4, x / 4)."""
        x = image
        for block in self.features:
            x = block(x)
        embedding: Tensor = self.neck(x)
        return embedding
