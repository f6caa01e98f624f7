"""bedside-2d: the bundled model for images and slices."""

from __future__ import annotations

from bedside.models.blocks.unet import ResidualUNet

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


def build(name: str = "bedside-2d") -> ResidualUNet:
    """The network: (batch, 8, y, x) to logits (batch, 1, y, x); sides are multiples of 32."""
    del name
    return ResidualUNet(
        dimensions=2, channels_in=8, widths=(32, 64, 96, 160, 192), depths=(1, 2, 2, 2, 2), head_width=16
    )
