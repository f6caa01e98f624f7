"""The window: an axis-aligned box of the image that is resampled to the network's grid and pasted back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.moving import moved_line, moved_points
from bedside.core.no_data import Ranges, absent
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.imaging.kept import kept
from bedside.imaging.resample import (
    VoxelTaps,
    apply_weights,
    axis_weights,
    interpolate,
    interpolate_mask,
    voxel_taps,
)

ABSENT_SHARE = 1e-5
"""Share of a cell's weight from which samples that are no measurement spoil it."""

VOXELS_PER_CELL = {2: 4, 3: 2}
"""Voxels along each axis that a cell of a coarse window is made of at least, by the number of axes."""

LINE_BYTES = 1000
"""About what a kept stroke or outline takes beside the coordinates of its vertices."""


@dataclass(frozen=True)
class Window:
    """A box of an image and the grid it is resampled to, in two or three dimensions.

    Coordinates are those of voxel edges in array order: voxel i spans i to i + 1, as for boxes. The window may reach
    beyond the image.

    Attributes:
        start: Where the first cell begins on each axis.
        stop: Where the last cell ends.
        grid: Cells along each axis.
    """

    start: tuple[float, ...]
    stop: tuple[float, ...]
    grid: tuple[int, ...]

    @classmethod
    def centred(cls, centre: Sequence[float], sides: Sequence[float], grid: Sequence[int]) -> Window:
        """Return a window of ``sides`` voxels around ``centre`` (array order, edge coordinates)."""
        start = tuple(float(c - s / 2) for c, s in zip(centre, sides, strict=True))
        stop = tuple(float(c + s / 2) for c, s in zip(centre, sides, strict=True))
        return cls(start, stop, tuple(int(g) for g in grid))

    @property
    def sides(self) -> tuple[float, ...]:
        """Length of each side in voxels."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def centre(self) -> tuple[float, ...]:
        """Middle of the window in edge coordinates."""
        return tuple((a + b) / 2 for a, b in zip(self.start, self.stop, strict=True))

    @property
    def scale(self) -> tuple[float, ...]:
        """Voxels per cell on each axis."""
        return tuple(s / g for s, g in zip(self.sides, self.grid, strict=True))

    def enlarged(self, factor: float) -> Window:
        """Return the window grown by ``factor`` about its centre, on the same grid."""
        return Window.centred(self.centre, [s * factor for s in self.sides], self.grid)

    def shifted(self, offset: Sequence[float]) -> Window:
        """Return the window moved by ``offset`` voxels."""
        start = tuple(a + o for a, o in zip(self.start, offset, strict=True))
        return Window(start, tuple(b + o for b, o in zip(self.stop, offset, strict=True)), self.grid)

    def region(self, shape: Sequence[int]) -> Region:
        """Return the voxels of an image of ``shape`` whose centres lie inside the window."""
        start = tuple(int(np.ceil(a - 0.5)) for a in self.start)
        stop = tuple(int(np.ceil(b - 0.5)) for b in self.stop)
        return Region(start, stop).clip(shape)

    def sample(self, array: NDArray[Any], *, exact: bool = False) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Resample ``array`` (spatial axes first, then perhaps colour) to the grid.

        Returns:
            float32 (channels, *grid) with zeros outside the image, and a bool grid that is True inside it.
        """
        spatial = len(self.grid)
        weights = [
            axis_weights(
                self.start[a],
                self.stop[a],
                self.grid[a],
                array.shape[a],
                exact=exact,
                per_cell=VOXELS_PER_CELL[spatial],
            )
            for a in range(spatial)
        ]
        samples = apply_weights(array, weights)
        samples = np.moveaxis(samples, -1, 0) if array.ndim > spatial else samples[None]
        inside = np.ones((1,) * spatial, dtype=bool)
        for axis, weight in enumerate(weights):
            inside = inside & weight.inside.reshape([-1 if a == axis else 1 for a in range(spatial)])
        return np.ascontiguousarray(samples), np.broadcast_to(inside, self.grid)

    def sample_absent(self, array: NDArray[Any], ranges: Ranges) -> NDArray[np.bool_] | None:
        """Return cells of which a part of the samples is no measurement (see ``core.no_data``); None where there are
        none.

        Args:
            array: As for ``sample``, without colour.
            ranges: Samples that are no measurement.
        """
        if not ranges and array.dtype.kind != "f":
            return None
        spatial = len(self.grid)
        sides = zip(self.start, self.stop, self.grid, array.shape[:spatial], strict=True)
        weights = [axis_weights(*side, per_cell=VOXELS_PER_CELL[spatial]) for side in sides]
        missing = absent(array[tuple(slice(w.start, w.stop, w.step) for w in weights)], ranges)
        if missing is None or missing.ndim > spatial:
            return None
        # The block holds just the samples that the weights take.
        here = [replace(w, start=0, stop=n, step=1) for w, n in zip(weights, missing.shape, strict=True)]
        return np.asarray(apply_weights(missing, here) > ABSENT_SHARE)

    def expand(self, values: NDArray[np.float32], region: Region) -> NDArray[np.float32]:
        """Interpolate values on the grid at the voxels of ``region``, which lies within the window."""
        return interpolate(values, self._taps(region))

    def expand_mask(self, values: NDArray[np.float32], region: Region) -> NDArray[np.uint8]:
        """Return where ``expand`` is above 0, uint8 0/1 of the region's shape."""
        return interpolate_mask(values, self._taps(region))

    def _taps(self, region: Region) -> list[VoxelTaps]:
        sides = zip(self.start, self.stop, self.grid, region.start, region.stop, strict=True)
        return [voxel_taps(*side) for side in sides]

    def to_grid(self, prompt: Prompt) -> Prompt:
        """Return a prompt in the image's ``index`` frame, in the coordinates of the grid's cells."""
        start, scale = np.array(self.start[::-1]), np.array(self.scale[::-1])
        if isinstance(prompt, Point):
            return moved_points([prompt], self._on_grid([prompt.position]))[0]
        if isinstance(prompt, Box):
            low, high = (np.asarray(prompt.low) - start) / scale, (np.asarray(prompt.high) - start) / scale
            return replace(prompt, low=tuple(low), high=tuple(high))
        if isinstance(prompt, Scribble):
            thickness = max(prompt.thickness / float(scale.mean()), 1.0)
            return moved_line(prompt, self._on_grid(prompt.points), thickness)
        if isinstance(prompt, Lasso):
            return moved_line(prompt, self._on_grid(prompt.points))
        assert isinstance(prompt, InitialMask)
        return prompt

    def all_to_grid(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """Return prompts as ``to_grid`` gives them; clicks, of which there may be hundreds, are moved all at once."""
        clicks = [p for p in prompts if isinstance(p, Point)]
        moved = iter(moved_points(clicks, self._on_grid([p.position for p in clicks])) if clicks else ())
        return [next(moved) if isinstance(p, Point) else self._kept_on_grid(p) for p in prompts]

    def _kept_on_grid(self, prompt: Prompt) -> Prompt:
        if not isinstance(prompt, Scribble | Lasso):
            return self.to_grid(prompt)
        taken = LINE_BYTES + 8 * prompt.ndim * len(prompt.points)
        return kept(prompt, self, lambda: self.to_grid(prompt), lambda _: taken)

    def _on_grid(self, positions: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """Return continuous voxel coordinates (n, axes) in those of the grid's cells, (x, y[, z]) order."""
        start, scale = np.array(self.start[::-1]), np.array(self.scale[::-1])
        return np.asarray((np.array(positions) + 0.5 - start) / scale - 0.5)
