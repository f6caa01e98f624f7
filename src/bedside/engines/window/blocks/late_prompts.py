"""Image first, prompts late: what an image is encoded into serves every prompt on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bedside.engines.window.blocks.unet import INTERPOLATION, ResidualUNet, space_to_depth

DECODER_WIDTHS = (32, 48, 64)


class LatePromptUNet(nn.Module):
    """A U-Net that sees the image alone, and a light one that sees its features and the prompts.

    The counterpart of prompts as input channels, with which it shares its input's layout: the image's channels first.

    Args:
        dimensions: 2 or 3.
        image_channels: Channels of the image.
        prompt_channels: Channels of prompts and previous mask.
        widths: Channels of the encoder's stages, finest first.
        depths: Blocks of the encoder's stages.
        block: Kind of block, of ``unet.BLOCKS``.
    """

    def __init__(
        self,
        dimensions: int,
        image_channels: int,
        prompt_channels: int,
        widths: Sequence[int],
        depths: Sequence[int],
        block: str = "residual",
    ) -> None:
        super().__init__()
        self.dimensions, self.image_channels = dimensions, image_channels
        self.encoder = ResidualUNet(dimensions, image_channels, widths, depths, block=block)
        # The encoder's head would predict without prompts.
        for name in ("head_norm", "head_features", "head_input", "head_conv", "head_out"):
            delattr(self.encoder, name)
        channels = widths[0] + prompt_channels * 2**dimensions
        # It works on the features' grid, half the input's, and its logits are interpolated to the input's.
        self.decoder = ResidualUNet(dimensions, channels, DECODER_WIDTHS, (1,) * len(DECODER_WIDTHS))

    def encode(self, image: Tensor) -> Tensor:
        """Map (batch, image_channels, ...) to features at half resolution, (batch, widths[0], ...)."""
        return self.encoder.features(image)

    def decode(self, features: Tensor, prompts: Tensor) -> Tensor:
        """Map features and prompts (batch, prompt_channels, ...) to logits (batch, 1, ...)."""
        logits = self.decoder(torch.cat([features, space_to_depth(prompts)], dim=1))
        mode = INTERPOLATION[self.dimensions]
        return F.interpolate(logits, scale_factor=2.0, mode=mode, align_corners=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, image_channels + prompt_channels, [z,] y, x) to logits (batch, 1, [z,] y, x)."""
        image, prompts = x[:, : self.image_channels], x[:, self.image_channels :]
        return self.decode(self.encode(image), prompts)
