"""bedside-3d: the bundled model for volumes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from bedside.engines.window.blocks.late_prompts import LatePromptUNet
from bedside.engines.window.blocks.unet import ResidualUNet

CARD = {
    "name": "bedside-3d",
    "family": "window",
    "summary": "Residual U-Net with prompts as input channels, for volumes; trained by this project.",
    "parameters": 10_943_649,
    "dimensions": 3,
    "grid": 64,
    "channels": (
        "intensity",
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
    "stored_as": "int8",
}


def build(
    name: str = "bedside-3d",
    *,
    widths: Sequence[int] = (32, 64, 96, 160, 192),
    depths: Sequence[int] = (1, 2, 2, 2, 2),
    block: str = "residual",
    prompts: str = "early",
    stem: str = "folded",
) -> nn.Module:
    """Return the network: (batch, 6, z, y, x) to logits (batch, 1, z, y, x); sides are multiples of 32.

    Widths and depths are those of bedside-2d, whose weights it begins with (see
    ``window.training.inflation``). The arguments are those of bedside-2d.
    """
    del name
    if prompts == "late":
        return LatePromptUNet(3, image_channels=1, prompt_channels=5, widths=widths, depths=depths, block=block)
    return ResidualUNet(3, channels_in=6, widths=widths, depths=depths, head_width=16, block=block, stem=stem)
