"""Normalised surface distance (surface Dice at a tolerance).

The definition is that of DeepMind's surface-distance (Nikolov et al., 2018, arXiv 1809.04430): surface elements sit
at the corners between voxels; each corner's 2 x 2 (x 2) neighbourhood decides whether a surface passes and how much
of it, by marching cubes; an element agrees when the nearest element of the other surface is within the tolerance.
Voxels outside the array count as background, so a mask that ends at the array's border has a surface there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bedside.core.region import mask_region
from bedside.evaluate.metrics import EmptyValues, MetricSpec, Sampling, register_metric

ROUNDING = 1e-9
"""Relative slack of the tolerance: a distance of two steps of 0.1 must not fail a tolerance of 0.2."""

Corner = tuple[int, int, int]
Edge = tuple[Corner, Corner]


def surface_dice(truth: NDArray[Any], prediction: NDArray[Any], sampling: Sampling) -> float:
    """Measure the part of both surfaces that lies within the tolerance of the other one.

    Args:
        truth: Binary mask (z, y, x) or (y, x), not empty.
        prediction: Binary mask of the same shape, not empty.
        sampling: Spacing in array order and tolerance.

    Returns:
        From 0 to 1.
    """
    # Only the box around both masks matters: no surface element of either lies outside it.
    region = mask_region(truth).union(mask_region(prediction))
    points_truth, sizes_truth = surface_elements(truth[region.slices], sampling.spacing)
    points_prediction, sizes_prediction = surface_elements(prediction[region.slices], sampling.spacing)
    agreeing = (
        sizes_truth[_within(points_truth, points_prediction, sampling.tolerance)].sum()
        + sizes_prediction[_within(points_prediction, points_truth, sampling.tolerance)].sum()
    )
    return float(agreeing / (sizes_truth.sum() + sizes_prediction.sum()))


SPEC = register_metric(
    MetricSpec(
        name="nsd",
        direction="higher",
        unit="",
        range=(0.0, 1.0),
        empty=EmptyValues(),
        paper="Nikolov et al., 2018, arXiv 1809.04430",
        compute=surface_dice,
    )
)


def _within(points: NDArray[np.float64], others: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    """Return which of ``points`` have one of ``others`` no farther than ``tolerance``.

    A tree of the few surface points predicts faster than a distance transform of the whole box.
    """
    bound = tolerance * (1 + ROUNDING) + 1e-12
    distance, _ = cKDTree(others, balanced_tree=False, compact_nodes=False).query(points, distance_upper_bound=bound)
    return np.isfinite(distance)


def surface_elements(mask: NDArray[Any], spacing: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions and sizes of the surface elements of a binary mask.

    Args:
        mask: (z, y, x) or (y, x); non-zero is inside.
        spacing: One per axis, array order.

    Returns:
        Positions (n, axes) in units of the spacing, relative to the corner before the first voxel, and the sizes
        (n,): areas in 3D, lengths in 2D.
    """
    inside = np.pad(mask != 0, 1)
    codes = np.zeros(tuple(n - 1 for n in inside.shape), dtype=np.uint8)
    for bit, offset in enumerate(itertools.product((0, 1), repeat=mask.ndim)):
        corner = inside[tuple(slice(o, o + n) for o, n in zip(offset, codes.shape, strict=True))]
        codes |= corner.astype(np.uint8) << np.uint8(bit)
    full = 2 ** (2**mask.ndim) - 1
    index = np.nonzero((codes != 0) & (codes != full))
    sizes = element_sizes(tuple(float(s) for s in spacing))[codes[index]]
    positions = np.stack(index, axis=1).astype(np.float64) * np.asarray(spacing, dtype=np.float64)
    return positions, sizes


@lru_cache(maxsize=64)
def element_sizes(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return size of the surface that crosses a neighbourhood, for each of its codes.

    Bit ``b`` of a code is the neighbour at the ``b``-th offset of ``itertools.product((0, 1), repeat=axes)``.

    Returns:
        (256,) areas for three axes, (16,) lengths for two.
    """
    return _contour_lengths(spacing) if len(spacing) == 2 else _surface_areas(spacing)


def _contour_lengths(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    diagonal = 0.5 * math.hypot(*spacing)
    lengths = np.zeros(16)
    for code in range(16):
        a, b, c, d = (code >> bit & 1 for bit in range(4))  # neighbours (0,0), (0,1), (1,0), (1,1)
        if (a, b) == (c, d) and a != b:
            lengths[code] = spacing[0]
        elif (a, c) == (b, d) and a != c:
            lengths[code] = spacing[1]
        elif a == d and b == c and a != b:
            lengths[code] = 2 * diagonal
        elif code not in (0, 15):
            lengths[code] = diagonal
    return lengths


def _surface_areas(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    z, y, x = spacing
    # A triangle's area vector scales by the area of the face of the voxel that each component looks through.
    scale = np.array([y * x, z * x, z * y])
    return np.array([_total_area(vectors * scale) for vectors in _area_vectors()])


@lru_cache(maxsize=1)
def _area_vectors() -> tuple[NDArray[np.float64], ...]:
    """For each code the area vectors (n, 3) of the triangles that separate its corners in a unit cube.

    Non-planar outlines are cut into the fan with the largest area, which is how the published tables do it.
    """
    table = [np.zeros((0, 3))]
    for code in range(1, 255):
        table.append(np.concatenate([max(_fans(outline), key=_total_area) for outline in _outlines(code)]))
    return (*table, np.zeros((0, 3)))


def _total_area(vectors: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(vectors, axis=1).sum())


def _fans(outline: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield area vectors of the triangles of each fan of a closed outline (n, 3), one fan per vertex to start from."""
    for start in range(len(outline)):
        turned = np.roll(outline, -start, axis=0) - outline[start]
        yield np.cross(turned[1:-1], turned[2:]) / 2


def _outlines(code: int) -> list[NDArray[np.float64]]:
    """Return closed outlines through the middles of the cube's cut edges, each (n, 3)."""
    neighbours: dict[Edge, list[Edge]] = {}
    for one, other in _face_segments(code):
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    outlines, visited = [], set()
    for start in neighbours:
        outline: list[Edge] = []
        edge: Edge | None = start if start not in visited else None
        while edge is not None:
            visited.add(edge)
            outline.append(edge)
            edge = next((e for e in neighbours[edge] if e not in visited), None)
        if outline:
            outlines.append(np.array(outline, dtype=np.float64).mean(axis=1))
    return outlines


def _face_segments(code: int) -> Iterator[tuple[Edge, Edge]]:
    """Yield segments in which the surface crosses the cube's six faces, each between two cut edges."""

    def inside(corner: Corner) -> bool:
        return bool(code >> (4 * corner[0] + 2 * corner[1] + corner[2]) & 1)

    # A face whose diagonals disagree can be cut in two ways; the minority of the cube's corners is kept apart.
    apart = code.bit_count() <= 4
    for axis, side in itertools.product(range(3), (0, 1)):
        cycle = [_corner(axis, side, u, v) for u, v in ((0, 0), (1, 0), (1, 1), (0, 1))]
        edges = [_edge(cycle[i], cycle[(i + 1) % 4]) for i in range(4)]
        cut = [i for i in range(4) if inside(cycle[i]) != inside(cycle[(i + 1) % 4])]
        if len(cut) == 2:
            yield edges[cut[0]], edges[cut[1]]
        elif len(cut) == 4:
            for i in range(4):
                if inside(cycle[i]) == apart:
                    yield edges[i], edges[i - 1]


def _corner(axis: int, side: int, u: int, v: int) -> Corner:
    corner = [u, v]
    corner.insert(axis, side)
    return corner[0], corner[1], corner[2]


def _edge(one: Corner, other: Corner) -> Edge:
    return (one, other) if one < other else (other, one)
