"""bedside-2d: the bundled model for images and slices."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from bedside.engines.window.blocks.late_prompts import LatePromptUNet
from bedside.engines.window.blocks.pretrained_unet import PretrainedUNet
from bedside.engines.window.blocks.unet import ResidualUNet

CARD = {
    "name": "bedside-2d",
    "family": "window",
    "summary": "Residual U-Net with prompts as input channels, for images and slices; trained by this project.",
    "parameters": 3_757_825,
    "dimensions": 2,
    "grid": 128,
    "stored_as": "int8",
    "channels": (
        "red",
        "green",
        "blue",
        "previous mask",
        "box or lasso, positive",
        "box or lasso, negative",
        "click or scribble, positive",
        "click or scribble, negative",
    ),
    "prompt_kinds": ("box", "point", "scribble", "lasso", "mask"),
    "negative_kinds": ("box", "point", "scribble", "lasso"),
    "licence": "Apache-2.0",
    "source": "bedside",
}


def build(
    name: str = "bedside-2d",
    *,
    encoder: str = "",
    widths: Sequence[int] = (32, 64, 96, 160, 192),
    depths: Sequence[int] = (1, 2, 2, 2, 2),
    block: str = "residual",
    prompts: str = "early",
    stem: str = "folded",
) -> nn.Module:
    """The network: (batch, 8, y, x) to logits (batch, 1, y, x); sides are multiples of 32.

    Args:
        name: Of the model.
        encoder: Name in ``blocks.pretrained_unet.ENCODERS`` of one that can start from pretrained weights, which leaves
            the arguments after this one aside; "" for the network that they describe.
        widths: Channels of each stage, finest first.
        depths: Blocks of each stage of the encoder.
        block: "residual", "convnext" or "repvit"; see ``blocks.unet``.
        prompts: "early" for prompts as input channels, "late" for an image encoded once and a light decoder that sees
            the prompts; see ``blocks.late_prompts``.
        stem: "folded" or "strided", of early prompts alone; see ``blocks.unet``.
    """
    del name
    if encoder:
        return PretrainedUNet(encoder)
    if prompts == "late":
        return LatePromptUNet(2, image_channels=3, prompt_channels=5, widths=widths, depths=depths, block=block)
    return ResidualUNet(2, channels_in=8, widths=widths, depths=depths, head_width=16, block=block, stem=stem)
