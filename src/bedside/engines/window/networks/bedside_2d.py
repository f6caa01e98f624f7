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


WIDTHS, DEPTHS = (32, 64, 96, 160, 192), (1, 2, 2, 2, 2)
"""Channels and blocks of each stage of a network without a pretrained encoder."""


def build(
    name: str = "bedside-2d",
    *,
    encoder: str = "",
    widths: Sequence[int] = (),
    depths: Sequence[int] = (),
    block: str = "",
    prompts: str = "",
    stem: str = "",
) -> nn.Module:
    """Return the network: (batch, 8, y, x) to logits (batch, 1, y, x); sides are multiples of 32.

    With an encoder it can start from pretrained weights. Without one it is the network of the bundled weights, of which
    the arguments after ``encoder`` change something.

    Args:
        name: Name of the model.
        encoder: Name in ``blocks.pretrained_unet.ENCODERS``, or "" for none.
        widths: Channels of each stage, finest first.
        depths: Blocks of each stage of the encoder.
        block: "residual", "convnext" or "repvit"; see ``blocks.unet``.
        prompts: "early" for prompts as input channels, "late" for an image encoded once and a light decoder that sees
            the prompts; see ``blocks.late_prompts``.
        stem: "folded" or "strided", of early prompts alone; see ``blocks.unet``.

    Raises:
        ValueError: The arguments do not go together.
    """
    del name
    described = {"widths": widths, "depths": depths, "block": block, "prompts": prompts, "stem": stem}
    given = [argument for argument, value in described.items() if value]
    if encoder:
        if given:
            raise ValueError(f"{given[0]} is of networks without a pretrained encoder (encoder: '')")
        return PretrainedUNet(encoder)
    widths, depths, block = widths or WIDTHS, depths or DEPTHS, block or "residual"
    if prompts == "late":
        return LatePromptUNet(2, image_channels=3, prompt_channels=5, widths=widths, depths=depths, block=block)
    return ResidualUNet(
        2, channels_in=8, widths=widths, depths=depths, head_width=16, block=block, stem=stem or "folded"
    )
