"""Prompts as maps of distance: how far every cell is from what was marked as object, and from what was not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import InitialMask, Point, Prompt
from bedside.engines.window.encodings import PromptEncoding
from bedside.imaging.paint import paint_prompts

FARTHEST = 32.0
"""Cells beyond which distances are all the same; a map without prompts is as far from them everywhere."""


class DistanceMaps(PromptEncoding):
    """Distances over ``FARTHEST``: 0 on a prompt, 1 far away or where there is none."""

    channels = ("previous mask", "distance to object", "distance to background")
    previous = 0
    positive_click = 1
    negative_click = 2
    click_radius = 4.0

    def paint(
        self, prompts: Sequence[Prompt], grid: Sequence[int], area: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """See ``PromptEncoding``."""
        maps = np.ones((2, *grid), np.float32)
        if area is not None:
            maps[0] = near(area >= 0.5)
        for prompt in prompts:
            if isinstance(prompt, InitialMask):
                continue
            sign = 0 if prompt.positive else 1
            if isinstance(prompt, Point):
                axes = np.ogrid[tuple(slice(n) for n in grid)]
                squared = sum((a - p) ** 2 for a, p in zip(axes, prompt.position[::-1], strict=True))
                found = np.minimum(np.sqrt(squared) / FARTHEST, 1)
            else:
                found = near(paint_prompts([prompt], grid).max(axis=0) >= 0.5)
            maps[sign] = np.minimum(maps[sign], found)
        return maps

    def with_click(self, channel: Any, squared: Any, active: Any) -> Any:
        """See ``PromptEncoding``. Without a click the distance is larger than any in the map."""
        return channel.minimum((squared.sqrt() / FARTHEST).clip(max=1) + ~active)


def near(cells: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of every cell from the nearest of ``cells`` over ``FARTHEST``, at most 1."""
    if not cells.any():
        return np.ones(cells.shape, np.float32)
    distances: Any = ndimage.distance_transform_edt(~cells)
    return np.minimum(distances / FARTHEST, 1).astype(np.float32)


ENCODING = DistanceMaps()
