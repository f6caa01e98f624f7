"""Content-aware cropping: one window around the box that leaves a fixed room about it (arXiv 2510.03189).

Unlike the published code, a box holds its last voxel on every axis, the window is where it is said to be wherever it
lies, and without a box the first click takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Lasso
from bedside.core.region import Region, mask_region
from bedside.engines.autozoom import prompt_extent
from bedside.engines.strategy import Extent, Scene
from bedside.imaging.adaptive_crop import ROOM, adaptive_window
from bedside.imaging.window import Window


@dataclass(frozen=True)
class AdaptiveCrop:
    """One cubic window per object, see ``imaging.adaptive_crop``.

    Attributes:
        room: Voxels added to the box's sides, in parts of the grid's.
    """

    room: float = ROOM

    name = "adaptive-crop"
    crops_to_nonzero = True

    def __post_init__(self) -> None:
        if self.room <= 0:
            raise InputError("adaptive crop", expected="room around the box", got=self.room)

    def first(self, scene: Scene) -> Window:
        """Return the window around the object's box; clicks do not move it."""
        low, high = anchor(scene)
        return adaptive_window(low.tolist(), high.tolist(), scene.grid, self.room)

    def following(self, windows: Sequence[Window], mask: NDArray[np.bool_], before: NDArray[np.bool_]) -> Window | None:
        """None: the first window is the only one."""
        del windows, mask, before
        return None

    def refinements(
        self, mask: NDArray[Any], before: NDArray[Any], region: Region, window: Window, scene: Scene
    ) -> Iterable[Window]:
        """None: the prediction stands as it is."""
        del mask, before, region, window, scene
        return ()


def anchor(scene: Scene) -> Extent:
    """Return what the window is put around: the first positive box or lasso, else the first positive prompt, else the
    mask.
    """
    positive = [p for p in scene.prompts if p.positive and not isinstance(p, InitialMask)]
    areas = [p for p in positive if isinstance(p, Box | Lasso)]
    for prompt in (*areas, *positive):
        return prompt_extent(prompt)
    region = Region.empty(len(scene.shape)) if scene.previous is None else mask_region(scene.previous)
    if region.is_empty:
        return prompt_extent(scene.prompts[-1])
    return np.array(region.start, float), np.array(region.stop, float)
