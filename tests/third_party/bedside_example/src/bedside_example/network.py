"""example-2d: a small network on images that takes its prompts as maps of distance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CARD = {
    "name": "example-2d",
    "family": "window",
    "summary": "Five convolutions and maps of distance, as another package would add them.",
    "parameters": 48_121,
    "dimensions": 2,
    "grid": 64,
    "encoding": "distance-maps",
    "channels": ("red", "green", "blue", "previous mask", "distance to object", "distance to background"),
    "prompt_kinds": ("box", "point", "scribble", "lasso", "mask"),
    "negative_kinds": ("box", "point", "scribble", "lasso"),
    "licence": "Apache-2.0",
    "source": "bedside-example",
}


class Network(nn.Module):
    """Two scales: (batch, 6, y, x) to logits (batch, 1, y, x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fine = nn.Conv2d(6, width, 3, padding=1)
        self.coarse = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
        )
        self.merge = nn.Conv2d(3 * width, width, 3, padding=1)
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        fine = self.fine(x).relu()
        coarse = nn.functional.interpolate(self.coarse(fine), scale_factor=2.0, mode="nearest")
        logits: Tensor = self.head(self.merge(torch.cat([fine, coarse], dim=1)).relu())
        return logits


def build(name: str = "example-2d", *, width: int = 24) -> nn.Module:
    """The network with initial weights."""
    del name
    return Network(width)
