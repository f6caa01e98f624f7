"""What a box holds, as a small picture: MCP-MedSAM's content prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside.imaging.resize import resize

CLIP_SIDE, CROP_SIDE = 224, 64
"""Sides of the crop that the frozen CLIP sees, and of the one that the network sees."""


def content_crop(colours: NDArray[np.uint8], corners: Sequence[float]) -> NDArray[np.uint8]:
    """Return what a box holds, its last pixels left out as the public code has it; one pixel at least.

    Args:
        colours: The slice (y, x, 3) at its own resolution.
        corners: x0, y0, x1, y1 in its pixels; they may lie beyond it.
    """
    height, width = colours.shape[:2]
    x0, y0 = (int(np.clip(v, 0, n - 1)) for v, n in zip(corners[:2], (width, height), strict=True))
    x1, y1 = (int(np.clip(v, a + 1, n)) for v, a, n in zip(corners[2:], (x0, y0), (width, height), strict=True))
    return colours[y0:y1, x0:x1]


def crop_input(crop: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return a crop as a network's input, (1, 3, side, side), 0 to 1: antialiased bilinear, and not normalised
    further.
    """
    resized = resize(crop, (side, side), "triangle") / 255.0
    return np.ascontiguousarray(resized.transpose(2, 0, 1)[None], dtype=np.float32)
