"""What prompts cover of the cells of a grid: the primitives that encodings paint with.

There are four channels: box or lasso, positive and negative; click or scribble, positive and negative. All values are
in 0..1 and combine by maximum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.imaging.kept import kept

CHANNELS = (
    "box or lasso, positive",
    "box or lasso, negative",
    "click or scribble, positive",
    "click or scribble, negative",
)
CLICK_RADIUS = 3.0
"""Radius of a painted click in cells of the grid; the value falls from 1 at the click to 0 one cell beyond it."""

CHUNK, CHUNK_CELLS = 256, 400_000
"""Segments of a stroke painted at once at most, and distances that are computed for them."""
MOST_CELLS = 1_000_000
"""A stroke whose segments have more cells around them is painted by the places that it passes: no hand draws one."""
PIECE = 32.0
"""Cells along an axis that a segment is painted of at once."""
LATTICES, LATTICE_PLACES = (4, 2, 1), 8_000_000
"""Places along each side of a cell that such a stroke is rounded to, the most that together stay below a number."""

MOST_PLACES = 3_000_000
"""Places that such a stroke is painted by; where it were more, it covers all that lies around it long before."""

Array = TypeVar("Array")


def click_values(squared_distance: Array, radius: float = CLICK_RADIUS) -> Array:
    """Return value of a click at cells whose squared distance from it (in cells) is given; NumPy array or torch
    tensor.
    """
    values: Any = squared_distance
    return (1.0 - values**0.5 / (radius + 1.0)).clip(0.0)  # type: ignore[no-any-return]


def stroke_values(distance: NDArray[Any], thickness: float) -> NDArray[Any]:
    """Return value of a stroke at cells ``distance`` cells from its centre line: 1 inside, falling to 0 within a
    cell.
    """
    return np.clip(max(thickness, 1.0) / 2 + 0.5 - distance, 0.0, 1.0)


def paint_prompts(prompts: Sequence[Prompt], grid: Sequence[int]) -> NDArray[np.float32]:
    """Paint prompts that are given in the grid's own coordinates.

    Args:
        prompts: Prompts in the frame ``index`` of the grid, (x, y[, z]) order. Initial masks are not painted: they
            enter by the channel of the previous mask.
        grid: Cells along each axis, array order.

    Returns:
        float32 (4, *grid), see ``CHANNELS``.
    """
    channels = np.zeros((len(CHANNELS), *grid), dtype=np.float32)
    for offset, positive in enumerate((True, False)):
        clicks = [p.position[::-1] for p in prompts if isinstance(p, Point) and p.positive == positive]
        if clicks:
            paint_clicks(channels[2 + offset], np.array(clicks))
    for prompt in prompts:
        if not isinstance(prompt, InitialMask | Point):
            channel = channels[(2 if isinstance(prompt, Scribble) else 0) + (0 if prompt.positive else 1)]
            block, values = covered(prompt, channel.shape)
            np.maximum(channel[block], values, out=channel[block])
    return channels


def covered(prompt: Box | Lasso | Scribble, grid: Sequence[int]) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
    """Return a block of cells outside which a prompt covers nothing, and what it covers of each cell of it.

    Args:
        prompt: In the grid's own coordinates.
        grid: Cells along each axis, array order.

    Returns:
        The block, and float32 of its shape, 0 to 1, not to be changed.
    """
    if isinstance(prompt, Box):
        return _cover(prompt, tuple(grid))
    return kept(prompt, tuple(grid), lambda: _cover(prompt, tuple(grid)), lambda found: found[1].nbytes)


def _cover(prompt: Box | Lasso | Scribble, grid: tuple[int, ...]) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
    reach = 2.0 + (max(prompt.thickness, 1.0) / 2 if isinstance(prompt, Scribble) else 0.0)
    vertices = prompt.vertices()[:, ::-1]
    block = _block(grid, vertices.min(axis=0) - reach, vertices.max(axis=0) + reach)
    if any(side.start >= side.stop for side in block):
        return tuple(slice(0, 0) for _ in grid), np.zeros((0,) * len(grid), dtype=np.float32)
    channel = np.zeros(grid, dtype=np.float32)
    if isinstance(prompt, Box):
        _paint_box(channel, prompt)
    elif isinstance(prompt, Lasso):
        _paint_lasso(channel, prompt)
    else:
        _paint_scribble(channel, prompt)
    return block, channel[block].copy()


def paint_clicks(channel: NDArray[np.float32], positions: NDArray[np.float64]) -> None:
    """Paint clicks into a channel, in place, all at once: their number hardly tells in the time.

    Args:
        channel: float32 of the grid's shape.
        positions: float64 (n, axes) in array order, centre of the first cell at 0.
    """
    near = CLICK_RADIUS + 1
    shape = np.array(channel.shape)
    first, last = np.ceil(positions - near), np.floor(positions + near)
    seen = ((last >= 0) & (first < shape)).all(axis=1)
    steps = np.arange(int(2 * near) + 1)
    for start in range(0, int(seen.sum()), CHUNK):
        chunk = np.flatnonzero(seen)[start : start + CHUNK]
        place = np.zeros((len(chunk), *(1,) * channel.ndim), dtype=np.int64)
        squared = np.zeros(place.shape, dtype=np.float32)
        held = np.ones(place.shape, dtype=np.bool_)
        for axis, size in enumerate(channel.shape):
            column = (len(chunk), *(-1 if a == axis else 1 for a in range(channel.ndim)))
            cells = first[chunk, axis].astype(np.int64)[:, None] + steps
            inside = (cells >= 0) & (cells < size) & (cells <= last[chunk, axis][:, None])
            offsets = cells.astype(np.float32) - positions[chunk, axis].astype(np.float32)[:, None]
            place = place * size + np.where(inside, cells, 0).reshape(column)
            squared = squared + (offsets**2).reshape(column)
            held = held & inside.reshape(column)
        np.maximum.at(channel.reshape(-1), place[held], click_values(squared)[held])


def _block(shape: Sequence[int], low: NDArray[Any], high: NDArray[Any]) -> tuple[slice, ...]:
    """Return the cells whose centres lie between ``low`` and ``high``, clipped to the grid."""
    return tuple(
        slice(min(max(0, int(np.ceil(a))), n), max(0, min(n, int(np.floor(b)) + 1)))
        for a, b, n in zip(low, high, shape, strict=True)
    )


def _paint_box(channel: NDArray[np.float32], box: Box) -> None:
    """Every cell gets the share of it that the box covers."""
    covered = np.ones((1,) * channel.ndim, dtype=np.float32)
    for axis, (low, high) in enumerate(zip(box.low[::-1], box.high[::-1], strict=True)):
        # A box thinner than a cell (a 2D box in a zoomed-out volume) would fade away: it keeps one cell.
        if high - low < 1.0:
            low, high = (low + high) / 2 - 0.5, (low + high) / 2 + 0.5  # noqa: PLW2901
        cells = np.arange(channel.shape[axis], dtype=np.float32)
        share = np.clip(np.minimum(cells + 1, high) - np.maximum(cells, low), 0.0, 1.0)
        covered = covered * share.reshape([-1 if a == axis else 1 for a in range(channel.ndim)])
    np.maximum(channel, covered.astype(np.float32), out=channel)


def _paint_scribble(channel: NDArray[np.float32], scribble: Scribble) -> None:
    points = np.array(scribble.points, dtype=np.float64)[:, ::-1]
    joined = scribble.connected and len(points) > 1
    starts, stops = _in_pieces(points[:-1], points[1:]) if joined else (points, points)
    reach = max(scribble.thickness, 1.0) / 2 + 0.5
    low, high = np.minimum(starts, stops) - reach, np.maximum(starts, stops) + reach
    seen = ((high >= 0) & (low <= np.array(channel.shape) - 1)).all(axis=1)
    starts, stops, low, high = starts[seen], stops[seen], low[seen], high[seen]
    if (high - low + 1.0).prod(axis=1).sum() > MOST_CELLS and _paint_many(channel, starts, stops, scribble.thickness):
        return
    first = 0
    while first < len(starts):
        count = _fitting(low[first : first + CHUNK], high[first : first + CHUNK])
        chunk = slice(first, first + count)
        block = _block(channel.shape, low[chunk].min(axis=0), high[chunk].max(axis=0))
        distance = _segment_distances(block, starts[chunk], stops[chunk])
        target = channel[block]
        np.maximum(target, stroke_values(distance, scribble.thickness).astype(np.float32), out=target)
        first += count


def _in_pieces(
    starts: NDArray[np.float64], stops: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the same segments, the long ones cut into pieces, so that few cells lie around each."""
    counts = np.maximum(np.ceil(np.abs(stops - starts).max(axis=1) / PIECE), 1).astype(int)
    which = np.repeat(np.arange(len(starts)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = (stops - starts)[which]
    share = (1.0 / counts)[which, None]
    return starts[which] + place[:, None] * share * along, starts[which] + (place[:, None] + 1) * share * along


def _fitting(low: NDArray[np.float64], high: NDArray[np.float64]) -> int:
    """Return how many of some segments are painted at once: as many as take ``CHUNK_CELLS`` distances, at least one."""
    extents = np.maximum.accumulate(high, axis=0) - np.minimum.accumulate(low, axis=0) + 1.0
    work = extents.prod(axis=1) * np.arange(1, len(low) + 1)
    return max(1, int(np.searchsorted(work, CHUNK_CELLS)))


def _segment_distances(
    block: tuple[slice, ...], starts: NDArray[np.float64], stops: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return distance of each cell of a block from the nearest of some segments (n, axes), of the block's shape."""
    axes = np.meshgrid(*[np.arange(s.start, s.stop, dtype=np.float64) for s in block], indexing="ij")
    along = stops - starts
    length = np.square(along).sum(axis=1)
    column = (-1,) + (1,) * len(block)
    offsets = [axis - starts[:, k].reshape(column) for k, axis in enumerate(axes)]
    projected = sum(offset * along[:, k].reshape(column) for k, offset in enumerate(offsets))
    share = np.clip(projected / np.where(length > 0, length, 1.0).reshape(column), 0.0, 1.0)
    squared = sum(np.square(offset - share * along[:, k].reshape(column)) for k, offset in enumerate(offsets))
    nearest: NDArray[np.float64] = np.sqrt(np.min(squared, axis=0))
    return nearest


def _paint_many(
    channel: NDArray[np.float32], starts: NDArray[np.float64], stops: NDArray[np.float64], thickness: float
) -> bool:
    """Paint more segments than one by one would be worth: their places on a finer lattice, and distances from those.

    A cell's distance is then off by less than its share of the lattice, and the work is bounded by the grid.

    Returns:
        Whether it was done; not where the lattice would be too large.
    """
    reach = max(thickness, 1.0) / 2 + 0.5
    ends = np.concatenate([starts, stops])
    block = _block(channel.shape, ends.min(axis=0) - reach, ends.max(axis=0) + reach)
    origin = np.array([s.start for s in block], dtype=np.float64)
    if any(s.start >= s.stop for s in block):
        return True
    for fine in LATTICES:
        shape = tuple((s.stop - s.start - 1) * fine + 1 for s in block)
        if math.prod(shape) <= LATTICE_PLACES:
            break
    else:
        return False
    drawn = np.ones(shape, dtype=np.bool_)
    for first in range(0, len(starts), CHUNK):
        begin = (starts[first : first + CHUNK] - origin) * fine
        along = (stops[first : first + CHUNK] - origin) * fine - begin
        steps = max(2, min(int(np.ceil(np.abs(along).max())) + 1, MOST_PLACES // len(starts)))
        share = np.linspace(0.0, 1.0, steps)
        places = (
            np.rint(begin[:, None] + share[None, :, None] * along[:, None]).astype(np.int64).reshape(-1, len(shape))
        )
        places = places[((places >= 0) & (places < shape)).all(axis=1)]
        drawn[tuple(places.T)] = False
    if drawn.all():
        return True
    cells = (slice(None, None, fine),) * len(shape)
    distance = ndimage.distance_transform_edt(drawn, sampling=1.0 / fine)[cells]
    target = channel[block]
    np.maximum(target, stroke_values(distance, thickness).astype(np.float32), out=target)
    return True


def _paint_lasso(channel: NDArray[np.float32], lasso: Lasso) -> None:
    """Fill the outline; in three dimensions on the plane that it lies on."""
    points = np.array(lasso.points)[:, ::-1]
    if channel.ndim == 2:
        np.maximum(channel, fill_polygon(points, channel.shape), out=channel)
        return
    axis = int(np.argmin(np.ptp(points, axis=0)))
    plane = round(float(points[:, axis].mean()))
    if not 0 <= plane < channel.shape[axis]:
        return
    others = [a for a in range(channel.ndim) if a != axis]
    target = np.moveaxis(channel, axis, 0)[plane]
    np.maximum(target, fill_polygon(points[:, others], target.shape), out=target)


def fill_polygon(points: NDArray[Any], shape: Sequence[int]) -> NDArray[np.float32]:
    """Return cells whose centres lie inside a closed outline, by the even-odd rule.

    Args:
        points: Vertices (m, 2) in array order, centre of the first cell at 0.
        shape: Cells along the two axes.

    Returns:
        float32 0/1 of ``shape``.
    """
    rows = np.arange(shape[0], dtype=np.float64)
    columns = np.arange(shape[1], dtype=np.float64)
    inside = np.zeros(tuple(shape), dtype=bool)
    for (y0, x0), (y1, x1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crossed = (y0 <= rows) != (y1 <= rows)
        if crossed.any():
            at = x0 + (rows[crossed] - y0) / (y1 - y0) * (x1 - x0)
            inside[crossed] ^= columns[None, :] >= at[:, None]
    return inside.astype(np.float32)
