"""Bringing segments from one grid onto another: exactly where the voxels are the same ones, else by the nearest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.region import Region, mask_region
from bedside.io.dicom.segments import Segment, SegmentSet

_SAME = 0.02
"""How far voxel centres may lie apart, in voxels, to be the same ones: files round positions."""

_TIE = 1e-6
"""Part of a voxel by which a centre on a border may come out wrong."""


def onto_grid(found: SegmentSet, grid: Geometry) -> SegmentSet:
    """The segments on ``grid``, with a note where they were resampled or lost voxels.

    Where the voxels of both grids coincide, in whatever order their axes run, voxels are moved one by one. Otherwise
    each voxel of ``grid`` takes the value of the nearest one.

    Args:
        found: Segments with as many axes as ``grid``.
        grid: The image's.

    Raises:
        InputError: None of the voxels lies on ``grid``.
    """
    if found.geometry.matches(grid, _SAME):
        return SegmentSet(found.segments, grid, found.notes)
    matrix = np.asarray(np.linalg.inv(grid.index_to_world_matrix) @ found.geometry.index_to_world_matrix, np.float64)
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    exact = _permutation(matrix, found.geometry)
    moved = tuple((_move(s, *exact, grid) if exact else _nearest(s, back, matrix, grid)) for s in found.segments)
    if all(s.is_empty for s in moved) and not all(s.is_empty for s in found.segments):
        raise InputError(
            "the segmentation lies outside the image, or between its voxels",
            expected=f"voxels within {grid.shape}",
            got=f"none of its grid of {found.geometry.shape}",
            fix="give the image that it was made on",
        )
    notes = []
    if not exact:
        notes.append("the segmentation lies on another grid than the image: resampled, nearest voxel")
    if exact:
        lost = [a.name for a, b in zip(found.segments, moved, strict=True) if a.patch.sum() > b.patch.sum()]
        if lost:
            notes.append(f"voxels outside the image are left out, of {', '.join(map(repr, lost[:5]))}")
    elif any(not a.is_empty and b.is_empty for a, b in zip(found.segments, moved, strict=True)):
        notes.append("segments lie outside the image, or between its voxels, and are empty there")
    return SegmentSet(moved, grid, (*found.notes, *notes))


def _permutation(matrix: NDArray[np.float64], grid: Geometry) -> tuple[list[int], list[int], list[int]] | None:
    """Of a map between indices (x, y, z) that moves voxels onto voxels: target axis, sign and offset of each axis.

    None where it is no such map anywhere on ``grid``.
    """
    n = grid.ndim
    linear = np.rint(matrix[:n, :n])
    single = np.abs(linear).sum(axis=0) == 1
    if not (single.all() and (np.abs(linear).sum(axis=1) == 1).all()):
        return None
    offset = np.rint(matrix[:n, n])
    last = np.array(grid.shape[::-1]) - 1
    corners = np.array(np.meshgrid(*[(0, v) for v in last])).reshape(n, -1)
    drift = np.abs((matrix[:n, :n] - linear) @ corners + (matrix[:n, n] - offset)[:, None]).max()
    if drift > _SAME * max(1, n):
        return None
    targets = [int(np.argmax(np.abs(linear[:, a]))) for a in range(n)]
    signs = [int(linear[targets[a], a]) for a in range(n)]
    return targets, signs, [int(offset[t]) for t in targets]


def _move(segment: Segment, targets: list[int], signs: list[int], offsets: list[int], grid: Geometry) -> Segment:
    n = grid.ndim
    patch = segment.patch
    start, stop = [0] * n, [0] * n
    # All lists are in (x, y, z) order and arrays in the opposite one.
    for axis in range(n):
        array_axis = n - 1 - axis
        low, high = segment.region.start[array_axis], segment.region.stop[array_axis]
        if signs[axis] < 0:
            patch = np.flip(patch, array_axis)
            low, high = 1 - high, 1 - low
        start[n - 1 - targets[axis]] = low + offsets[axis]
        stop[n - 1 - targets[axis]] = high + offsets[axis]
    order = [0] * n
    for axis in range(n):
        order[n - 1 - targets[axis]] = n - 1 - axis
    moved = np.ascontiguousarray(patch.transpose(order))
    region = Region(tuple(start), tuple(stop))
    inside = region.clip(grid.shape)
    if segment.region.is_empty or inside.is_empty:
        return replace(segment, patch=np.zeros((0,) * n, np.uint8), region=Region.empty(n))
    return replace(segment, patch=moved[inside.shift([-a for a in region.start]).slices], region=inside)


def _nearest(segment: Segment, to_source: NDArray[np.float64], to_grid: NDArray[np.float64], grid: Geometry) -> Segment:
    n = grid.ndim
    empty = replace(segment, patch=np.zeros((0,) * n, np.uint8), region=Region.empty(n))
    if segment.is_empty:
        return empty
    low, high = np.array(segment.region.start[::-1]) - 0.5, np.array(segment.region.stop[::-1]) - 0.5
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(n, -1)
    there = to_grid[:n, :n] @ corners + to_grid[:n, n][:, None]
    region = Region(
        tuple(int(v) for v in np.floor(there.min(axis=1))[::-1]),
        tuple(int(v) + 1 for v in np.ceil(there.max(axis=1))[::-1]),
    ).clip(grid.shape)
    if region.is_empty:
        return empty
    patch = np.zeros(region.shape, np.uint8)
    axes = [np.arange(a, b) for a, b in zip(region.start, region.stop, strict=True)]
    sizes = np.array(segment.patch.shape)
    for i, row in enumerate(axes[0]):
        rest = np.meshgrid(*axes[1:], indexing="ij")
        index = np.stack([*(a.ravel() for a in rest[::-1]), np.full(rest[0].size, row)]).astype(np.float64)
        source = to_source[:n, :n] @ index + to_source[:n, n][:, None]
        # Half a voxel goes up, and so does what rounding makes of it: a border belongs to one of two voxels.
        whole = np.floor(source[::-1] + 0.5 + _TIE).astype(np.int64) - np.array(segment.region.start)[:, None]
        inside = np.all((whole >= 0) & (whole < sizes[:, None]), axis=0)
        line = np.zeros(inside.size, np.uint8)
        line[inside] = segment.patch[tuple(whole[:, inside])]
        patch[i] = line.reshape(region.shape[1:])
    tight = mask_region(patch)
    if tight.is_empty:
        return empty
    return replace(segment, patch=patch[tight.slices], region=tight.shift(region.start))
