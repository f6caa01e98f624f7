"""Closed contours of a mask in a plane, and the mask of closed contours.

Contours follow the border between voxels, by marching squares (Lorensen & Cline 1987, in two dimensions) at the middle
between a voxel of the mask and its neighbour outside::

    o   o   o   o        o voxel centre outside      A contour's points lie on the lines between centres, so that no
      ,---.              x voxel centre inside       centre lies on it: whether points on the border count as inside
    o | x | o   o        - | , ' contour             is no question, and a single voxel has an area.
      '---'

Voxels that touch at a corner alone are parted; background is connected there. Coordinates are (x, y) with the centre of
the first voxel at 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

CHANNEL = 0.25
"""How far below a row of voxel centres a keyhole's channel runs: a scan line through centres never meets it."""

_ON_BORDER = 0.01
"""How near a voxel centre must be to a contour to lie on it, in voxels: files round coordinates."""


def contours_of(mask: NDArray[np.uint8], *, keyhole: bool = True) -> list[Points]:
    """The contours of a mask: outer ones and, with ``keyhole``, their holes in the same line; else holes as their own.

    Args:
        mask: (y, x), not zero is inside.
        keyhole: Join each hole to the contour around it by a channel of no width.

    Returns:
        Closed contours (point, 2), x and y, the first point not repeated, without points on straight lines.
    """
    padded = np.pad(mask != 0, 1)
    follow, start_x, start_y = _crossings(padded)
    if follow.size == 0:
        return []
    links = follow.tolist()
    x, y = start_x.tolist(), start_y.tolist()
    if keyhole:
        _bridge(padded, links, x, y)
    points = np.column_stack([x, y]) - 1.0
    return [_straightened(points[loop]) for loop in _loops(links)]


def mask_of(contours: Sequence[Points], shape: tuple[int, int], *, alternate: bool = False) -> NDArray[np.uint8]:
    """The voxels (y, x) of ``shape`` whose centres lie in closed contours.

    A contour within another is a hole in it and one within a hole an island; contours that overlap in part are united,
    unless all are to ``alternate`` (CLOSEDPLANAR_XOR). A centre on an outer contour lies inside and one on a hole's
    contour too, because the hole ends there; so contours through voxel centres give back their voxels.

    Args:
        contours: Points (point, 2), x and y; a point or a line alone covers the centres that it runs through.
        shape: Voxels along y and x.
        alternate: Count how many contours a centre lies in, and take the odd ones.
    """
    areas = sorted(_unique(contours), key=_area, reverse=True)
    mask = np.zeros(shape, bool)
    for contour in areas:
        box, inside, border = _fill(contour, shape)
        if box is None:
            continue
        part = mask[box]
        closed = inside | border
        if not closed.any():
            continue
        interior = inside & ~border
        if alternate:
            part[...] = (part & ~interior) | (~part & closed)
        elif part[closed].all():
            part &= ~interior
        else:
            part |= closed
    return mask.astype(np.uint8)


def _crossings(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Points, Points]:
    """Points where the border crosses lines between centres: the next one along the contour, and their x and y.

    ``mask`` has a margin of background. Seen with y downward, contours run against the clock around the inside.
    """
    across = mask[:, :-1] != mask[:, 1:]
    down = mask[:-1] != mask[1:]
    number_across = np.full(across.shape, -1, np.int64)
    number_down = np.full(down.shape, -1, np.int64)
    count = int(across.sum())
    number_across[across] = np.arange(count)
    number_down[down] = np.arange(count, count + int(down.sum()))
    ya, xa = np.nonzero(across)
    yd, xd = np.nonzero(down)
    follow = np.full(count + yd.size, -1, np.int64)
    # A cell's sides, by the crossing on each; the mask at its corners a b / c d.
    top, bottom = number_across[:-1], number_across[1:]
    left, right = number_down[:, :-1], number_down[:, 1:]
    a, b, c, d = mask[:-1, :-1], mask[:-1, 1:], mask[1:, :-1], mask[1:, 1:]
    kind = a * 1 + b * 2 + c * 4 + d * 8
    ways = {
        1: ((left, top),), 2: ((top, right),), 4: ((bottom, left),), 8: ((right, bottom),),
        3: ((left, right),), 12: ((right, left),), 5: ((bottom, top),), 10: ((top, bottom),),
        14: ((top, left),), 13: ((right, top),), 11: ((left, bottom),), 7: ((bottom, right),),
        6: ((top, right), (bottom, left)), 9: ((left, top), (right, bottom)),
    }  # fmt: skip
    for value, pairs in ways.items():
        where = np.nonzero(kind == value)
        for begin, end in pairs:
            follow[begin[where]] = end[where]
    x = np.concatenate([xa + 0.5, xd.astype(np.float64)])
    y = np.concatenate([ya.astype(np.float64), yd + 0.5])
    return follow, x, y


def _loops(links: list[int]) -> list[NDArray[np.int64]]:
    seen = bytearray(len(links))
    loops = []
    for start in range(len(links)):
        if seen[start]:
            continue
        loop = []
        at = start
        while not seen[at]:
            seen[at] = 1
            loop.append(at)
            at = links[at]
        loops.append(np.array(loop, np.int64))
    return loops


def _bridge(mask: NDArray[np.bool_], links: list[int], x: list[float], y: list[float]) -> None:
    """Join holes to the contours around them: a channel from each hole's leftmost point to the next border on its left.

    Every crossing on a row of centres goes on into the cells below by one segment of its own. The channel's ends lie on
    these segments, ``CHANNEL`` below the row, where borders follow each other in the order in which they cross the row.
    Holes are taken from left to right, so that what lies to the left is joined already.
    """
    on_rows = int((mask[:, :-1] != mask[:, 1:]).sum())
    holes = []
    for loop in _loops(links):
        if _turn([x[i] for i in loop], [y[i] for i in loop]) > 0:
            holes.append(min((i for i in loop.tolist() if i < on_rows), key=lambda i: x[i]))
    came = np.argsort(np.array(links)).tolist()  # The crossing that leads to each.
    for hole in sorted(holes, key=lambda i: x[i]):
        # Crossings on rows come first, row by row, so that the one to the left is the one before.
        _join(hole, hole - 1, links, came, x, y)


def _turn(px: list[float], py: list[float]) -> float:
    """Twice the signed area of a loop; positive around a hole."""
    ax, ay = np.array(px), np.array(py)
    return float(np.dot(ax, np.roll(ay, -1)) - np.dot(ay, np.roll(ax, -1)))


def _join(hole: int, outer: int, links: list[int], came: list[int], x: list[float], y: list[float]) -> None:
    """Cut the segments below the row of both crossings and connect their ends crosswise."""

    def cut(node: int) -> tuple[int, int]:
        down = y[links[node]] > y[node]
        first, last = (node, links[node]) if down else (came[node], node)
        low = last if down else first
        part = CHANNEL / (y[low] - y[node])
        at = (x[node] + part * (x[low] - x[node]), y[node] + CHANNEL)
        ends = []
        for _ in range(2):
            x.append(at[0])
            y.append(at[1])
            links.append(-1)
            came.append(-1)
            ends.append(len(links) - 1)
        arrive, leave = ends
        links[first], came[arrive] = arrive, first
        links[leave], came[last] = last, leave
        return arrive, leave

    outer_in, outer_out = cut(outer)
    hole_in, hole_out = cut(hole)
    links[outer_in], came[hole_out] = hole_out, outer_in
    links[hole_in], came[outer_out] = outer_out, hole_in


def _straightened(points: Points) -> Points:
    """Without points between two that lie on a line with them; the way back of a channel is kept."""
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    ahead = (before * after).sum(axis=1)
    kept = points[(np.abs(cross) > 1e-9) | (ahead < 0)]
    return kept if len(kept) > 2 else points


def _unique(contours: Sequence[Points]) -> list[Points]:
    """Contours that are given twice once: the second would be a hole that takes the first away."""
    return list({_round_trip(c): c for c in contours}.values())


def _round_trip(contour: Points) -> tuple[tuple[float, float], ...]:
    """The points of a closed contour from the lowest on, the lower way round: the same wherever it begins."""
    points = [(float(x), float(y)) for x, y in np.round(contour, 3) + 0.0]
    if len(points) > 1 and points[0] == points[-1]:
        points.pop()
    lowest = min(points)
    starts = [i for i, point in enumerate(points) if point == lowest]
    ways = ((points, i) for i in starts), ((points[::-1], len(points) - 1 - i) for i in starts)
    return min(tuple(way[i:] + way[:i]) for one in ways for way, i in one)


def _area(points: Points) -> float:
    x, y = points[:, 0], points[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _fill(
    contour: Points, shape: tuple[int, int]
) -> tuple[tuple[slice, slice] | None, NDArray[np.bool_], NDArray[np.bool_]]:
    """The box of a contour within ``shape``, the centres inside by the even-odd rule, and those on the contour."""
    none = np.zeros((0, 0), bool)
    whole = np.rint(contour)
    points = np.where(np.abs(contour - whole) <= _ON_BORDER, whole, contour)
    low, high = np.ceil(points.min(axis=0)), np.floor(points.max(axis=0))
    left, top = (max(0, int(v)) for v in low)
    right, bottom = min(shape[1] - 1, int(high[0])), min(shape[0] - 1, int(high[1]))
    if right < left or bottom < top:
        return None, none, none
    height, width = bottom - top + 1, right - left + 1
    start, end = points, np.roll(points, -1, axis=0)
    # An edge holds the rows from its upper end on and not that of its lower end, so that corners count once.
    row, x, upper = _edge_rows(start, end, top, bottom)
    toggles = np.zeros((height, width + 1), np.int64)
    place = np.clip(np.ceil(x[upper] - 1e-9).astype(np.int64) - left, 0, width)
    np.add.at(toggles, (row[upper] - top, place), 1)
    inside = (np.cumsum(toggles[:, :width], axis=1) & 1).astype(bool)
    border = np.zeros((height, width), bool)
    near = np.rint(x)
    on = (np.abs(x - near) <= _ON_BORDER) & (near >= left) & (near <= right)
    border[row[on] - top, near[on].astype(np.int64) - left] = True
    for (x0, y0), (x1, _) in zip(*_level(start, end), strict=True):
        if top <= y0 <= bottom:
            first, last = max(left, int(np.ceil(min(x0, x1)))), min(right, int(np.floor(max(x0, x1))))
            border[int(y0) - top, first - left : max(first, last + 1) - left] = True
    return (slice(top, bottom + 1), slice(left, right + 1)), inside, border


def _level(start: Points, end: Points) -> tuple[Points, Points]:
    """Edges that run along a row of centres."""
    level = (start[:, 1] == end[:, 1]) & (start[:, 1] == np.rint(start[:, 1]))
    return start[level], end[level]


def _edge_rows(
    start: Points, end: Points, top: int, bottom: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Where edges cross rows of centres: row, x, and whether the crossing counts (it is not the edge's lower end)."""
    upper = np.minimum(start[:, 1], end[:, 1])
    lower = np.maximum(start[:, 1], end[:, 1])
    first = np.maximum(np.ceil(upper), top).astype(np.int64)
    last = np.minimum(np.floor(lower), bottom).astype(np.int64)
    counts = np.where(upper < lower, np.maximum(0, last - first + 1), 0)
    edge = np.repeat(np.arange(len(start)), counts)
    row = first[edge] + np.arange(edge.size) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    x = start[edge, 0] + slope * (end[edge, 0] - start[edge, 0])
    return row, x, row < lower[edge]
