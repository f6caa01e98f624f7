"""A U-Net whose encoder is an EfficientNet-Lite, so that it can start from weights that were trained on photographs.

EfficientNet-Lite (Tan and Le, arXiv 1905.11946, in its form without squeeze-and-excitation and with ReLU6) stands here
for inference and fine-tuning alike: its batch normalisation is folded into the convolutions and gone, because inputs
with and without a previous mask differ too much to share a batch's statistics. Its padding is TensorFlow's "same",
which at stride 2 adds the odd cell at the end.

The prompts do not disturb what the encoder knows of pictures: they have a stem of their own, which is added before the
first activation, and are injected again at every level by convolutions that begin as zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.window.blocks.unet import ResidualBlock, group_norm

IMAGE_CHANNELS = 3
STEM_WIDTH = 32
DECODER_WIDTHS: Mapping[int, int] = {2: 32, 4: 48, 8: 80, 16: 128, 32: 160}
"""Channels of the decoder by the stride of its level."""
ENCODER_RATE = 0.4
"""Learning rate of the encoder in parts of the other layers', which have everything to learn."""


@dataclass(frozen=True)
class Row:
    """Blocks of one width in a row.

    Attributes:
        expansion: Factor by which a block widens its channels between its first and its last convolution.
        kernel: Side of the depthwise kernel.
        stride: Stride of the first block; the others have 1.
        width: Channels that each block gives.
        blocks: How many.
    """

    expansion: int
    kernel: int
    stride: int
    width: int
    blocks: int


LITE0 = (
    Row(1, 3, 1, 16, 1),
    Row(6, 3, 2, 24, 2),
    Row(6, 5, 2, 40, 2),
    Row(6, 3, 2, 80, 3),
    Row(6, 5, 1, 112, 3),
    Row(6, 5, 2, 192, 4),
)
"""EfficientNet-Lite0 without its last row, which classifies."""
ENCODERS: Mapping[str, tuple[Row, ...]] = {"efficientnet-lite0": LITE0}
"""By the name that a recipe's architecture gives."""


class DepthwiseBfloat16(torch.autograd.Function):
    """A depthwise convolution in bfloat16 whose gradient is taken in float32.

    On processors with bfloat16 the pass is faster so, but the gradient of a depthwise convolution takes a CPU up to
    ten times as long in bfloat16 as in float32.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]
    ) -> Tensor:
        """Map (b, c, y, x) to bfloat16 (b, c, y / stride, x / stride)."""
        small = x.bfloat16()
        ctx.save_for_backward(small, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(small, weight.bfloat16(), bias.bfloat16(), stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of input, weight and bias."""
        x, weight = ctx.saved_tensors
        shape, groups = [len(weight)], len(weight)
        wanted = [True, True, True]
        found = torch.ops.aten.convolution_backward(
            gradient.float(), x.float(), weight, shape, ctx.stride, ctx.padding, [1, 1], False, [0, 0], groups, wanted
        )
        return found[0].to(x.dtype), found[1], found[2], None, None


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding: (b, c, y, x) to (b, c', y / stride, x / stride) for even sides."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        before = (kernel - stride) // 2
        super().__init__(channels_in, channels_out, kernel, stride=stride, padding=before, groups=groups, bias=bias)
        after = kernel - stride - before
        self.before = before
        self.uneven = (before, after, before, after) if after != before else None

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        padding = (0, 0) if self.uneven else (self.before, self.before)
        if self.uneven:
            x = F.pad(x, self.uneven)
        if self.groups > 1 and self.bias is not None and _slow_gradient(x):
            out: Tensor = DepthwiseBfloat16.apply(x, self.weight, self.bias, self.stride, padding)  # type: ignore[no-untyped-call]
            return out
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)


def _slow_gradient(x: Tensor) -> bool:
    """Return whether a gradient will be taken of what autocast computes in bfloat16 on a CPU."""
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise one, and a 1x1 one that narrows; added to the input where it fits.

    Args:
        channels_in: Channels of the input.
        row: The row that the block belongs to.
        stride: Stride of the depthwise convolution.
    """

    def __init__(self, channels_in: int, row: Row, stride: int) -> None:
        super().__init__()
        middle = channels_in * row.expansion
        self.expand = SameConv(channels_in, middle, 1) if row.expansion > 1 else None
        self.depthwise = SameConv(middle, middle, row.kernel, stride=stride, groups=middle)
        self.project = SameConv(middle, row.width, 1)
        self.adds = stride == 1 and channels_in == row.width

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels_in, y, x) to (batch, row.width, y / stride, x / stride)."""
        wide = F.relu6(self.expand(x)) if self.expand is not None else x
        narrow: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return x + narrow if self.adds else narrow


class PretrainedUNet(nn.Module):
    """An EfficientNet-Lite with a decoder of residual blocks and a head that sees the input again.

    The sides of the input must be multiples of 32. With EfficientNet-Lite0 it has 3.4 million parameters and needs
    0.36 GMAC for an input of 128 x 128.

    Args:
        encoder: Name in ``ENCODERS``.
        prompt_channels: Channels after the three of the image: previous mask and prompts.
        head_width: Channels of the last layers, at full resolution.

    Attributes:
        learning_rate_scales: Factors for the learning rate by the first part of a parameter's name.

    Raises:
        ValueError: There is no such encoder.
    """

    learning_rate_scales: Mapping[str, float] = {"stem_image": ENCODER_RATE, "blocks": ENCODER_RATE}

    def __init__(self, encoder: str = "efficientnet-lite0", *, prompt_channels: int = 5, head_width: int = 16) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"encoder '{encoder}' is none of {', '.join(ENCODERS)}")
        self.stem_image = SameConv(IMAGE_CHANNELS, STEM_WIDTH, 3, stride=2)
        self.stem_prompts = SameConv(prompt_channels, STEM_WIDTH, 3, stride=2, bias=False)
        self.blocks = nn.ModuleList()
        widths: dict[int, int] = {}
        self.last_blocks: dict[int, int] = {}
        channels, stride = STEM_WIDTH, 2
        for row in ENCODERS[encoder]:
            for number in range(row.blocks):
                self.blocks.append(InvertedResidual(channels, row, row.stride if number == 0 else 1))
                channels = row.width
            stride *= row.stride
            # A level ends with the last block of its stride.
            self.last_blocks[stride], widths[stride] = len(self.blocks) - 1, channels
        self.levels = sorted(widths, reverse=True)
        self.injections = nn.ModuleDict(
            {str(v): nn.Conv2d(prompt_channels, widths[v], 3, padding=1) for v in self.levels if v > 2}
        )
        for parameter in self.injections.parameters():
            nn.init.zeros_(parameter)
        self.lateral = nn.ModuleDict({str(v): nn.Conv2d(widths[v], DECODER_WIDTHS[v], 1) for v in self.levels})
        self.up = nn.ModuleDict(
            {str(v // 2): nn.Conv2d(DECODER_WIDTHS[v], DECODER_WIDTHS[v // 2], 1) for v in self.levels if v > 2}
        )
        self.decoder = nn.ModuleDict(
            {str(v): ResidualBlock(2, DECODER_WIDTHS[v], DECODER_WIDTHS[v]) for v in self.levels}
        )
        self.head_norm = group_norm(DECODER_WIDTHS[2])
        self.head_features = nn.Conv2d(DECODER_WIDTHS[2], head_width, 1)
        self.head_input = nn.Conv2d(IMAGE_CHANNELS + prompt_channels, head_width, 3, padding=1)
        self.head_conv = nn.Conv2d(head_width, head_width, 3, padding=1)
        self.head_out = nn.Conv2d(head_width, 1, 1)

    def encoder_names(self) -> set[str]:
        """Return names of the parameters that pretrained weights fill: the picture's stem and the blocks."""
        return {name for name, _ in self.named_parameters() if name.partition(".")[0] in self.learning_rate_scales}

    def encode(self, image: Tensor, prompts: Tensor) -> dict[int, Tensor]:
        """Return the features at the end of each level, by its stride.

        Args:
            image: (batch, 3, y, x).
            prompts: (batch, prompt_channels, y, x).
        """
        ends = {block: stride for stride, block in self.last_blocks.items()}
        features = F.relu6(self.stem_image(image) + self.stem_prompts(prompts))
        kept: dict[int, Tensor] = {}
        for number, block in enumerate(self.blocks):
            features = block(features)
            if (stride := ends.get(number)) is None:
                continue
            if stride > 2:
                features = features + self.injections[str(stride)](F.avg_pool2d(prompts, stride))
            kept[stride] = features
        return kept

    def decode(self, kept: Mapping[int, Tensor]) -> Tensor:
        """Return what ``encode`` gave to features (batch, 32, y / 2, x / 2)."""
        features = torch.empty(0)
        for stride in self.levels:
            lateral: Tensor = self.lateral[str(stride)](kept[stride])
            if stride != self.levels[0]:
                coarse = self.up[str(stride)](features)
                lateral = lateral + F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
            features = self.decoder[str(stride)](lateral)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3 + prompt_channels, y, x) to logits (batch, 1, y, x); above 0 is the object."""
        features = self.decode(self.encode(x[:, :IMAGE_CHANNELS], x[:, IMAGE_CHANNELS:]))
        features = self.head_features(F.silu(self.head_norm(features)))
        features = F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
        features = F.silu(features + self.head_input(x))
        out: Tensor = self.head_out(F.silu(self.head_conv(features)))
        return out
