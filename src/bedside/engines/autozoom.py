"""AutoZoom: look from further away while the prediction changes at the window's faces, then again at full resolution.

The strategy of nnInteractive, version 2 (arXiv 2503.08373). Windows are cubes of whole voxels around the last prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Point, Prompt, Scribble
from bedside.core.region import Region, mask_region
from bedside.engines.cover import greedy_cover, opened
from bedside.engines.strategy import Extent, Scene, middle_voxel, whole_window
from bedside.imaging.window import Window

GRID = 192
"""Side of the grid for whose faces the numbers of changed cells are meant; they are scaled to those of other grids."""


@dataclass(frozen=True)
class AutoZoom:
    """Windows of nnInteractive.

    Attributes:
        zoom_limit: Voxels per cell at most.
        zoom_factor: Between one window and the next.
        padding: What is left around a prompt of known extent, in parts of the grid's side.
        changed: Cells of a face beyond which a change of the mask asks for a wider window.
        changed_least: Cells of a face that must change before the ratio counts.
        ratio: Relative change of a face's cells that asks for a wider window.
        margin: Part of a refining box's side that does not count as looked at, at each face.
    """

    zoom_limit: float = 4.0
    zoom_factor: float = 1.5
    padding: float = 1 / 3
    changed: float = 1500.0
    changed_least: float = 100.0
    ratio: float = 0.2
    margin: float = 24 / 192

    name = "autozoom"
    crops_to_nonzero = False

    def __post_init__(self) -> None:
        if self.zoom_limit < 1 or self.zoom_factor <= 1:
            raise InputError("autozoom", expected="a limit of 1 or more and a factor above 1", got=self)

    def first(self, scene: Scene) -> Window:
        """Return the window around the last prompt; a click's at full resolution, else as wide as the prompt's extent
        asks.
        """
        prompt = scene.prompts[-1]
        extent = prompt_extent(prompt)
        zoom = 1.0
        if not isinstance(prompt, Point):
            sides = extent[1] - extent[0]
            ratios = [(s + int(n * self.padding)) / n for s, n in zip(sides, scene.grid, strict=True)]
            zoom = min(self.zoom_limit, max(1.0, *ratios))
        return self._window(prompt_centre(prompt), zoom, scene.grid)

    def following(self, windows: Sequence[Window], mask: NDArray[np.bool_], before: NDArray[np.bool_]) -> Window | None:
        """Return a wider window around the same voxel while the mask changed on a face, up to the limit."""
        first = windows[0]
        # Counted from the first window: sides are whole voxels, so that from one to the next the error would add up.
        zoom = max(first.scale) * self.zoom_factor ** len(windows)
        if zoom / self.zoom_factor > self.zoom_limit - 1e-6 or not self.runs_out(mask, before):
            return None
        centre = tuple(round(a) + round(s) // 2 for a, s in zip(first.start, first.sides, strict=True))
        return self._window(centre, min(self.zoom_limit, zoom), first.grid)

    def runs_out(self, mask: NDArray[np.bool_], before: NDArray[np.bool_]) -> bool:
        """Return whether the mask changed on one of the faces, by so many cells or such a share of what was there."""
        for axis in range(mask.ndim):
            for face in (0, -1):
                now, then = np.take(mask, face, axis), np.take(before, face, axis)
                scale = now.size / GRID**2
                changed = np.count_nonzero(now != then) / scale
                counts = sorted((np.count_nonzero(now) / scale, np.count_nonzero(then) / scale))
                share = counts[1] / max(counts[0], 1e-5) - 1
                if changed > self.changed or (changed > self.changed_least and share > self.ratio):
                    return True
        return False

    def refinements(
        self, mask: NDArray[Any], before: NDArray[Any], region: Region, window: Window, scene: Scene
    ) -> Iterable[Window]:
        """Return boxes at full resolution over all that a coarse prediction changed, or one on the last prompt."""
        if max(window.scale) <= 1:
            return
        changed = opened(mask != before)
        margins = [int(n * self.margin) for n in window.grid]
        centres = greedy_cover(changed, window.grid, margins)
        if not centres:
            yield self._window(prompt_centre(scene.prompts[-1]), 1.0, window.grid)
        for centre in centres:
            yield self._window(tuple(c + s for c, s in zip(centre, region.start, strict=True)), 1.0, window.grid)

    def _window(self, centre: tuple[int, ...], zoom: float, grid: tuple[int, ...]) -> Window:
        return whole_window(centre, [round(n * zoom) for n in grid], grid)


def prompt_centre(prompt: Prompt) -> tuple[int, ...]:
    """Return the voxel that a window is put around: a click's own, else the middle of the extent, of two the even
    one.
    """
    extent = prompt_extent(prompt)
    if isinstance(prompt, Point):
        return middle_voxel(extent)
    # As the published code rounds, nnInteractive 2.6.0: a half goes to the even neighbour.
    return tuple(round(float(a + b) / 2) for a, b in zip(*extent, strict=True))


def prompt_extent(prompt: Prompt) -> Extent:
    """Return the voxels that a prompt marks."""
    if isinstance(prompt, InitialMask):
        region = mask_region(prompt.mask)
        if region.is_empty:
            region = Region.whole(prompt.mask.shape)
        return np.array(region.start, float), np.array(region.stop, float)
    if isinstance(prompt, Box):
        return np.array(prompt.low[::-1]), np.array(prompt.high[::-1])
    vertices = prompt.vertices()[:, ::-1]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    if isinstance(prompt, Scribble):
        # A stroke marks the voxels whose centres are nearer to it than half its width.
        half = max(prompt.thickness, 1.0) / 2
        return np.floor(low - half) + 1, np.ceil(high + half)
    return np.floor(low + 0.5), np.floor(high + 0.5) + 1
