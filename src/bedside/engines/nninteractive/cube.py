"""A window of whole voxels as nnInteractive resamples it: image, prompts and masks, each in its own way.

The image is interpolated linearly between two voxels, prompts and the previous mask are averaged over the voxels of a
cell, and clicks and strokes are widened before, so that thin marks survive. Beyond the image everything is zero, the
image after it was normalised. A window may be four times as wide as the grid, so that everything is done in slabs:
what is held beside the result is a few million voxels. arXiv 2503.08373.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Box, Point, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.nninteractive.channels import InteractionChannels, box_region
from bedside.engines.nninteractive.nonzero import normalise_nonzero
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.nninteractive.solid import ball_on_grid, clicked_cell, short_profiles
from bedside.imaging.resample import apply_matrices
from bedside.imaging.window import Window

SLAB_VOXELS = 8_000_000
"""Most voxels of a window that are held at once."""
THRESHOLD = 0.5 - 1e-6
"""One half itself belongs to the object; a little less allows for rounding."""


def cube_region(window: Window) -> Region:
    """Return the voxels of a window whose faces lie on voxels' edges; it may reach beyond the image."""
    return Region(tuple(round(a) for a in window.start), tuple(round(b) for b in window.stop))


def sample_image(array: NDArray[Any], window: Window, statistics: tuple[float, float]) -> NDArray[np.float32]:
    """Return the normalised image on the window's grid.

    Args:
        array: (z, y, x), any range.
        window: Whole voxels; its grid is no finer than they are.
        statistics: Mean and deviation of the image; see ``nonzero_statistics``.

    Returns:
        float32 of the grid's shape, 0 beyond the image.
    """
    region = cube_region(window)
    result = np.zeros(window.grid, dtype=np.float32)
    rows, columns = (_Taps(region, window.grid, axis, array.shape[axis]) for axis in (1, 2))
    depth = _Taps(region, window.grid, 0, array.shape[0])
    inner = (slice(rows.first, rows.last), slice(columns.first, columns.last))
    if depth.first >= depth.last or rows.first >= rows.last or columns.first >= columns.last:
        return result
    for cell in range(window.grid[0]):
        plane: NDArray[np.float32] | None = None
        for index, weight in depth.of(cell):
            part = normalise_nonzero(array[(index, *inner)], statistics) * weight
            plane = part if plane is None else plane + part
        if plane is not None:
            result[cell] = columns.apply(rows.apply(plane, 0), 1)
    return result


class _Taps:
    """Two voxels for each cell of one axis, with their weights; a voxel beyond the image weighs nothing."""

    def __init__(self, region: Region, grid: Sequence[int], axis: int, size: int) -> None:
        start, side = region.start[axis], region.shape[axis]
        position = np.clip((np.arange(grid[axis]) + 0.5) * side / grid[axis] - 0.5, 0.0, side - 1.0)
        low = np.floor(position).astype(np.int64)
        share = position - low
        indices = np.stack([low, np.minimum(low + 1, side - 1)]) + start
        weights = np.stack([1.0 - share, share]) * ((indices >= 0) & (indices < size))
        self.first, self.last = max(0, start), max(0, min(size, start + side))
        self._weights = weights.astype(np.float32)
        self._indices = np.clip(indices, self.first, max(self.first, self.last - 1))

    def of(self, cell: int) -> list[tuple[int, np.float32]]:
        """Return the voxels of a cell that count, with their weights."""
        pairs = zip(self._indices[:, cell], self._weights[:, cell], strict=True)
        return [(int(index), weight) for index, weight in pairs if weight > 0]

    def apply(self, plane: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
        """Interpolate one axis of a plane that begins at ``first``."""
        shape = (-1, 1) if axis == 0 else (1, -1)
        low, high = self._indices - self.first
        taken: NDArray[np.float32] = plane.take(low, axis) * self._weights[0].reshape(shape)
        taken += plane.take(high, axis) * self._weights[1].reshape(shape)
        return taken


def sample_prompts(
    prompts: Sequence[Prompt],
    previous: NDArray[Any] | None,
    window: Window,
    settings: InteractionSettings,
    origin: Sequence[int] = (0, 0, 0),
) -> NDArray[np.float32]:
    """Return prompts and the previous mask on the window's grid.

    Args:
        prompts: In the frame ``index`` of the image, oldest first; each makes those before it fainter.
        previous: Mask, non-zero on the object; None for an empty one.
        window: Whole voxels; its grid is no finer than they are.
        settings: What the network's checkpoint says of its prompts.
        origin: Where ``previous`` begins in the image; beyond it there is nothing.

    Returns:
        float32 (settings.channels, *grid), values 0 to 1.

    Raises:
        PromptError: A prompt is of a kind that the network was not trained with.
    """
    solid = [p for p in prompts if isinstance(p, Box | Point)] if settings.painting == "solid" else []
    prompts = [p for p in prompts if p not in solid]
    kernel = dilation_kernel(max(window.scale))
    widened = {c for kind in ("points", "scribble") for c in settings.pairs[kind]} if kernel > 1 else set()
    result = np.zeros((settings.channels, *window.grid), dtype=np.float32)
    for cells, inner in _slabs(window, _marked(prompts, settings, kernel // 2), kernel // 2):
        # Widening looks beyond the voxels that are averaged, though not beyond the window.
        outer = _grown(inner, kernel // 2).intersection(cube_region(window))
        channels = InteractionChannels(outer, settings)
        for prompt in prompts:
            channels.add(prompt)
        for number, channel in enumerate(channels.values()):
            if channel.any():
                if number in widened:
                    channel = ndimage.maximum_filter(channel, kernel, mode="constant")  # noqa: PLW2901
                values = channel[inner.shift([-s for s in outer.start]).slices]
                result[number][cells.slices] = _averaged(values, cells, inner, window)
    _paint_solid(result, solid, window, settings)
    if previous is not None:
        held = cube_region(window).intersection(Region.whole(previous.shape).shift(origin))
        offset = [-o for o in origin]
        if not held.is_empty:
            mask = mask_region(previous[held.shift(offset).slices]).shift(held.start)
            for cells, inner in _slabs(window, mask, 0):
                values = (part_of(previous, inner.shift(offset)) != 0).astype(np.float32)
                result[settings.previous][cells.slices] = _averaged(values, cells, inner, window)
    return result


def _paint_solid(
    result: NDArray[np.float32], prompts: Sequence[Prompt], window: Window, settings: InteractionSettings
) -> None:
    """Boxes and clicks as the public code of the dynamic-prompt method paints them, in place."""
    for prompt in prompts:
        if isinstance(prompt, Box):
            z, y, x = short_profiles(box_region(prompt), window)
            channel = result[settings.pairs["bbox3d"][0 if prompt.positive else 1]]
            np.maximum(channel, z[:, None, None] * y[:, None] * x, out=channel)
        elif isinstance(prompt, Point):
            cells, ball = ball_on_grid(clicked_cell([round(c) for c in prompt.position[::-1]], window), window.grid)
            if not cells.is_empty:
                result[settings.pairs["points"][0 if prompt.positive else 1]][cells.slices][ball] = 1


def _marked(prompts: Sequence[Prompt], settings: InteractionSettings, margin: int) -> Region:
    """Return the voxels that prompts may mark, with a margin."""
    marked = Region.empty(3)
    for prompt in prompts:
        if isinstance(prompt, Box):
            region = box_region(prompt)
        else:
            vertices = prompt.vertices()[:, ::-1]
            reach = settings.point_radius if isinstance(prompt, Point) else getattr(prompt, "thickness", 1.0) / 2
            start, stop = np.floor(vertices.min(axis=0) - reach), np.ceil(vertices.max(axis=0) + reach) + 1
            region = Region(tuple(map(int, start)), tuple(map(int, stop)))
        marked = marked.union(region)
    return marked if marked.is_empty else _grown(marked, margin)


def _grown(region: Region, margin: int) -> Region:
    return Region(tuple(a - margin for a in region.start), tuple(b + margin for b in region.stop))


def _slabs(window: Window, marked: Region, margin: int) -> Iterator[tuple[Region, Region]]:
    """Run of cells along z that see any of the marked voxels, each with the voxels of the image that they average."""
    whole = cube_region(window)
    marked = marked.intersection(whole)
    if marked.is_empty:
        return
    start, scale = np.array(whole.start), np.array(whole.shape) / np.array(window.grid)
    low = np.floor((np.array(marked.start) - start) / scale + 1e-6).astype(int)
    high = np.minimum(np.ceil((np.array(marked.stop) - start) / scale - 1e-6).astype(int), window.grid)
    # A cell averages whole voxels, so that its neighbour may see the voxel at their border too.
    low, high = np.maximum(low - 1, 0), np.minimum(high + 1, window.grid)
    plane = float(np.prod((high - low)[1:] * scale[1:]))
    step = max(1, int((SLAB_VOXELS / plane - 2 * margin) / scale[0]))
    for first in range(low[0], high[0], step):
        cells = Region((first, *map(int, low[1:])), (min(int(high[0]), first + step), *map(int, high[1:])))
        yield cells, _averaged_voxels(cells, window)


def _averaged_voxels(cells: Region, window: Window) -> Region:
    """Return the voxels of the image that cells of a window average: all that they touch."""
    whole = cube_region(window)
    start, stop = [], []
    for axis, (side, grid) in enumerate(zip(whole.shape, window.grid, strict=True)):
        start.append(whole.start[axis] + cells.start[axis] * side // grid)
        stop.append(whole.start[axis] - (-cells.stop[axis] * side // grid))
    return Region(tuple(start), tuple(stop))


def _averaged(values: NDArray[np.float32], cells: Region, inner: Region, window: Window) -> NDArray[np.float32]:
    """Return voxels of the window averaged over cells."""
    whole = cube_region(window)
    if whole.shape == window.grid:
        return values
    weights = []
    for axis in range(3):
        voxels = slice(inner.start[axis] - whole.start[axis], inner.stop[axis] - whole.start[axis])
        matrix = area_weights(whole.shape[axis], window.grid[axis])
        weights.append(matrix[cells.start[axis] : cells.stop[axis], voxels])
    return apply_matrices(values, weights)


def dilation_kernel(zoom: float) -> int:
    """Return voxels by which clicks and strokes are widened: the odd number nearest to 2 * zoom - 1, the larger of
    two.
    """
    return 2 * int(np.floor((2 * zoom - 1) / 2)) + 1


def area_weights(voxels: int, cells: int) -> NDArray[np.float32]:
    """Return weights (cells, voxels) that average all voxels that a cell touches, each alike."""
    start = np.arange(cells) * voxels // cells
    stop = -(-(np.arange(cells) + 1) * voxels // cells)
    index = np.arange(voxels)
    inside = (index >= start[:, None]) & (index < stop[:, None])
    weights: NDArray[np.float32] = (inside / (stop - start)[:, None]).astype(np.float32)
    return weights


def part_of(mask: NDArray[Any], region: Region) -> NDArray[Any]:
    """Return a mask of the whole image on a region that may reach beyond it, 0 there."""
    part = np.zeros(region.shape, dtype=mask.dtype)
    inside = region.intersection(Region.whole(mask.shape))
    if not inside.is_empty:
        part[inside.shift([-s for s in region.start]).slices] = mask[inside.slices]
    return part


def sample_nearest(mask: NDArray[Any], window: Window) -> NDArray[np.bool_]:
    """Return a mask of the whole image at the middle of the window's cells, False beyond the image."""
    indices = [np.clip(index, 0, size - 1) for index, size in zip(_middles(window), mask.shape, strict=True)]
    values: NDArray[np.bool_] = (mask[np.ix_(*indices)] != 0) & inside_image(window, mask.shape)
    return values


def inside_image(window: Window, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return cells of the window's grid whose middle lies within an image of ``shape``."""
    inside = np.ones((1,) * len(shape), dtype=bool)
    for axis, (index, size) in enumerate(zip(_middles(window), shape, strict=True)):
        held = (index >= 0) & (index < size)
        inside = inside & held.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.broadcast_to(inside, window.grid)


def _middles(window: Window) -> list[NDArray[np.int64]]:
    """Along each axis the voxel in which the middle of each cell lies."""
    return [
        np.floor(start + (np.arange(cells) + 0.5) * scale).astype(np.int64)
        for start, scale, cells in zip(window.start, window.scale, window.grid, strict=True)
    ]


def expand_mask(mask: NDArray[np.bool_], window: Window, region: Region) -> NDArray[np.uint8]:
    """Return a mask on the window's grid at the voxels of ``region``, which lies within the window.

    The mask itself is interpolated linearly and cut at one half.

    Returns:
        uint8 0/1 of the region's shape.
    """
    result = np.zeros(region.shape, dtype=np.uint8)
    values = mask.astype(np.float32)
    step = max(1, SLAB_VOXELS // max(1, region.shape[1] * region.shape[2]))
    for first in range(region.start[0], region.stop[0], step):
        last = min(region.stop[0], first + step)
        slab = Region((first, *region.start[1:]), (last, *region.stop[1:]))
        result[first - region.start[0] : last - region.start[0]] = window.expand(values, slab) >= THRESHOLD
    return result
