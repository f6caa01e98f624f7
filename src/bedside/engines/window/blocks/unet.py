"""Residual U-Net in two or three dimensions, without batch statistics."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
INTERPOLATION = {2: "bilinear", 3: "trilinear"}


class GroupNorm(nn.GroupNorm):
    """Group normalisation; under autocast on a CPU with gradient it is done in float32, where bfloat16 takes longer."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, ...) to the same."""
        slow = x.dtype == torch.bfloat16 and x.device.type == "cpu" and torch.is_grad_enabled()
        return super().forward(x.float() if slow else x)


def group_norm(channels: int, group_size: int = 8) -> nn.GroupNorm:
    """Group normalisation with groups of ``group_size`` channels.

    Inputs with and without a previous mask differ too much to share a batch's statistics, so that a network with
    batch normalisation loses accuracy at the first correction; statistics of the sample itself do not.
    """
    return GroupNorm(max(1, channels // group_size), channels)


class ResidualBlock(nn.Module):
    """Two 3x3(x3) convolutions, each after normalisation and activation, added to their input.

    Args:
        dimensions: 2 or 3.
        channels_in: Channels of the input.
        channels_out: Channels of the output; where they differ from the input's the skip is a 1x1(x1) convolution.
    """

    def __init__(self, dimensions: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        convolution = CONVOLUTION[dimensions]
        self.norm1 = group_norm(channels_in)
        self.conv1 = convolution(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm2 = group_norm(channels_out)
        self.conv2 = convolution(channels_out, channels_out, 3, padding=1)
        # The block starts as its skip: training of deep residual networks is then stable without warm-up tricks.
        nn.init.zeros_(self.conv2.weight)
        self.skip = nn.Identity() if channels_in == channels_out else convolution(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, ...) to (batch, channels_out, ...)."""
        out: Tensor = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        skip: Tensor = self.skip(x)
        return out.add(skip)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7(x7) convolution, then a bottleneck four times as wide, added to their input.

    After ConvNeXt (Liu et al., arXiv 2201.03545), with the normalisation of ``group_norm`` in place of layer
    normalisation and one kernel of five in three dimensions, where seven would cost too much.

    Args:
        dimensions: 2 or 3.
        channels_in: Channels of the input.
        channels_out: Must be the same.
    """

    def __init__(self, dimensions: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        if channels_in != channels_out:
            raise ValueError(f"a ConvNeXt block keeps its channels, not {channels_in} to {channels_out}")
        convolution = CONVOLUTION[dimensions]
        kernel = 7 if dimensions == 2 else 5
        self.depthwise = convolution(channels_in, channels_in, kernel, padding=kernel // 2, groups=channels_in)
        self.norm = group_norm(channels_in)
        self.widen = convolution(channels_in, 4 * channels_in, 1)
        self.narrow = convolution(4 * channels_in, channels_in, 1)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, ...) to the same."""
        out: Tensor = self.narrow(F.silu(self.widen(self.norm(self.depthwise(x)))))
        return out.add(x)


class RepViTBlock(nn.Module):
    """A depthwise 3x3(x3) convolution with a 1x1(x1) beside it, channels weighted by the whole map, then a bottleneck.

    After RepViT (Wang et al., arXiv 2307.09283), with the normalisation of ``group_norm``. Before it the input and the
    two convolutions are added up, so that they can be fused into one kernel. The bottleneck's output is added to
    the input of the whole block.

    Args:
        dimensions: 2 or 3.
        channels_in: Channels of the input.
        channels_out: Must be the same.
    """

    def __init__(self, dimensions: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        if channels_in != channels_out:
            raise ValueError(f"a RepViT block keeps its channels, not {channels_in} to {channels_out}")
        convolution = CONVOLUTION[dimensions]
        self.depthwise = convolution(channels_in, channels_in, 3, padding=1, groups=channels_in)
        self.pointwise = convolution(channels_in, channels_in, 1, groups=channels_in)
        self.norm = group_norm(channels_in)
        self.squeeze = nn.Linear(channels_in, channels_in // 4)
        self.excite = nn.Linear(channels_in // 4, channels_in)
        self.widen = convolution(channels_in, 2 * channels_in, 1)
        self.narrow = convolution(2 * channels_in, channels_in, 1)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, ...) to the same."""
        mixed: Tensor = self.norm(self.depthwise(x) + self.pointwise(x) + x)
        weights: Tensor = self.excite(F.relu(self.squeeze(mixed.flatten(2).mean(dim=2)))).sigmoid()
        mixed = mixed * weights.view(*weights.shape, *(1,) * (x.ndim - 2))
        out: Tensor = self.narrow(F.silu(self.widen(mixed)))
        return out.add(x)


Block = ResidualBlock | ConvNeXtBlock | RepViTBlock
BLOCKS: dict[str, type[Block]] = {"residual": ResidualBlock, "convnext": ConvNeXtBlock, "repvit": RepViTBlock}
STEMS = ("folded", "strided")
"""How a network comes to half its input's resolution: by folding neighbours into channels, or by leaving out every
second place of a convolution's prediction."""


def space_to_depth(x: Tensor) -> Tensor:
    """Fold every 2x2(x2) block of neighbours into channels: (b, c, 2y, 2x) to (b, 4c, y, x).

    Keeps all samples, so that half the resolution costs the network no detail of its input.
    """
    if x.ndim == 4:
        return F.pixel_unshuffle(x, 2)
    b, c, z, y, w = x.shape
    x = x.reshape(b, c, z // 2, 2, y // 2, 2, w // 2, 2)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * 8, z // 2, y // 2, w // 2)


class ResidualUNet(nn.Module):
    """An encoder-decoder that works at half the input's resolution and draws its prediction at the full one.

    The input is folded to half resolution (``space_to_depth``), encoded in stages of residual blocks, decoded with
    one block a stage, and unfolded by a last, thin stage that sees the input again at full resolution. Input sides
    must be multiples of ``2 ** len(widths)``.

    Args:
        dimensions: 2 or 3.
        channels_in: Channels of the input.
        widths: Channels of each stage, finest first.
        depths: Residual blocks of each encoder stage.
        head_width: Channels of the last stage at full resolution.
        block: Kind of block, of ``BLOCKS``.
        stem: Stem of ``STEMS``.
    """

    def __init__(
        self,
        dimensions: int,
        channels_in: int,
        widths: Sequence[int],
        depths: Sequence[int],
        head_width: int = 16,
        block: str = "residual",
        stem: str = "folded",
    ) -> None:
        super().__init__()
        for kind_of, chosen, known in (("block", block, tuple(BLOCKS)), ("stem", stem, STEMS)):
            if chosen not in known:
                raise ValueError(f"{kind_of} '{chosen}' is none of {', '.join(known)}")
        convolution = CONVOLUTION[dimensions]
        kind = BLOCKS[block]
        self.dimensions = dimensions
        self.folds = stem == "folded"
        channels, stride = (channels_in * 2**dimensions, 1) if self.folds else (channels_in, 2)
        self.stem = convolution(channels, widths[0], 3, stride=stride, padding=1)
        self.encoder = nn.ModuleList()
        self.down = nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if stage > 0:
                self.down.append(convolution(widths[stage - 1], width, 2, stride=2))
            self.encoder.append(nn.Sequential(*[kind(dimensions, width, width) for _ in range(depth)]))
        self.up = nn.ModuleList()
        self.decoder = nn.ModuleList()
        for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.up.append(convolution(coarse, fine, 1))
            self.decoder.append(kind(dimensions, fine, fine))
        self.head_norm = group_norm(widths[0])
        self.head_features = convolution(widths[0], head_width, 1)
        self.head_input = convolution(channels_in, head_width, 3, padding=1)
        self.head_conv = convolution(head_width, head_width, 3, padding=1)
        self.head_out = convolution(head_width, 1, 1)

    def features(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, [z,] y, x) to what the head draws from, (batch, widths[0], ...) at half
        resolution.
        """
        interpolation = INTERPOLATION[self.dimensions]
        features: Tensor = self.stem(space_to_depth(x) if self.folds else x)
        skips = []
        for stage, blocks in enumerate(self.encoder):
            if stage > 0:
                features = self.down[stage - 1](features)
            features = blocks(features)
            skips.append(features)
        skips.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            coarse = F.interpolate(up(features), scale_factor=2.0, mode=interpolation, align_corners=False)
            features = block(coarse + skips.pop())
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, [z,] y, x) to logits (batch, 1, [z,] y, x); above 0 is the object."""
        interpolation = INTERPOLATION[self.dimensions]
        features = self.features(x)
        features = self.head_features(F.silu(self.head_norm(features)))
        features = F.interpolate(features, scale_factor=2.0, mode=interpolation, align_corners=False)
        features = F.silu(features + self.head_input(x))
        out: Tensor = self.head_out(F.silu(self.head_conv(features)))
        return out
