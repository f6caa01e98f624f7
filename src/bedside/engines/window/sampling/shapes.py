"""Shapes that few datasets show and many images hold: branching trees, groups of blobs, shells.

They are drawn in cells of the grid, in two or three dimensions, and put into images by ``insertion``.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KINDS = ("tree", "group", "shell")
KIND_SHARES = (0.4, 0.4, 0.2)
MOST_STAMPS = 500
"""Balls from which on a tree grows no further branches."""
STAMPED_AT_ONCE = 64
MEMBER_SHARE = 0.25
"""Share of groups of which the prompt means one member alone."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A shape on the grid.

    Attributes:
        coverage: float32, from 0 to 1, how much of a cell belongs to what is seen.
        object: float32 of the same shape, how much of it belongs to what is meant: all that is seen, one member of a
            group, or what a shell holds.
        core: float32 of the same shape, the inside of a shell; elsewhere zeros.
    """

    coverage: NDArray[np.float32]
    object: NDArray[np.float32]
    core: NDArray[np.float32]


def random_shape(grid: int, axes: int, extent: float, generator: np.random.Generator) -> Shape:
    """Return a random shape around the middle of the grid.

    Args:
        grid: Cells along each side.
        axes: 2 or 3.
        extent: Length of the shape in parts of the grid's side; above 1 it goes on beyond the grid.
        generator: Source of randomness.
    """
    kind = generator.choice(len(KINDS), p=KIND_SHARES)
    return (random_tree, random_group, random_shell)[kind](grid, axes, extent, generator)


def random_tree(grid: int, axes: int, extent: float, generator: np.random.Generator) -> Shape:
    """Return tubes that bend, branch and grow thinner, as vessels and airways do; all of it is meant."""
    coverage: NDArray[np.float32] = np.zeros((grid,) * axes, dtype=np.float32)
    length = extent * grid
    middle = np.full(axes, grid / 2)
    heading = _direction(axes, generator)
    begin = middle - heading * length / 2 + generator.normal(0, 0.05 * length, size=axes)
    radius = float(np.exp(generator.uniform(np.log(0.8), np.log(max(1.0, 0.035 * length)))))
    branches = deque([(begin.tolist(), heading.tolist(), radius, length)])
    bend = float(generator.uniform(0.02, 0.16))
    places: list[list[float]] = []
    radii: list[float] = []
    while branches and len(places) < MOST_STAMPS:
        place, towards, radius, left = branches.popleft()
        part = left * generator.uniform(0.2, 0.6)
        step = max(0.8, 0.7 * radius)
        for turn in (bend * generator.standard_normal((int(part / step), axes))).tolist():
            places.append(place)
            radii.append(radius)
            towards = _turned(towards, turn)
            place = [p + step * h for p, h in zip(place, towards, strict=True)]
        if max(abs(p - grid / 2) for p in place) > 0.75 * max(length, grid) or left - part < 3 * step:
            continue
        for _ in range(2):
            fork = (generator.uniform(0.3, 0.9) * _direction(axes, generator)).tolist()
            thinner = max(0.6, radius * generator.uniform(0.6, 0.95))
            branches.append((place, _turned(towards, fork), thinner, left - part))
    stamp_balls(coverage, np.array(places).reshape(-1, axes), np.array(radii))
    return Shape(coverage, coverage, np.zeros_like(coverage))


def random_group(grid: int, axes: int, extent: float, generator: np.random.Generator) -> Shape:
    """Return blobs that are scattered, as lesions and nuclei are; all of them are meant, or one."""
    coverage = np.zeros((grid,) * axes, dtype=np.float32)
    count = int(np.exp(generator.uniform(np.log(2), np.log(40))))
    largest = max(1.2, extent * grid * 0.35 / count ** (1 / axes))
    size = float(np.exp(generator.uniform(np.log(1.0), np.log(largest))))
    places = grid / 2 + generator.uniform(-0.5, 0.5, size=(count, axes)) * extent * grid
    members = []
    for place in places:
        radii = size * np.exp(generator.normal(0, 0.3, size=axes))
        blobs = [
            (place + generator.normal(0, 0.5, size=axes) * radii, radii * generator.uniform(0.6, 1.0, axes))
            for _ in range(int(generator.integers(1, 4)))
        ]
        for blob in blobs:
            stamp(coverage, *blob)
        members.append(blobs)
    chosen = np.zeros_like(coverage)
    for blob in members[int(generator.integers(count))]:
        stamp(chosen, *blob)
    alone = generator.random() < MEMBER_SHARE and chosen.max() > 0.5
    # A member that touches others cannot be meant alone.
    others = coverage - chosen
    alone = alone and not ((others > 0.25) & (chosen > 0.25)).any()
    return Shape(coverage, chosen if alone else coverage, np.zeros_like(coverage))


def random_shell(grid: int, axes: int, extent: float, generator: np.random.Generator) -> Shape:
    """Return a closed wall, as of cysts, myelin and vessels cut across; the wall is meant, or what it holds."""
    outer, inner = (np.zeros((grid,) * axes, dtype=np.float32) for _ in range(2))
    radii = 0.5 * extent * grid * np.exp(generator.uniform(-0.3, 0.0, size=axes))
    place = grid / 2 + generator.normal(0, 0.03 * grid, size=axes)
    wall = float(np.clip(generator.uniform(0.08, 0.45) * radii.min(), 1.2, None))
    shift = generator.uniform(-0.3, 0.3, size=axes) * wall
    stamp(outer, place, radii)
    stamp(inner, place + shift, np.maximum(radii - wall, 0.1))
    coverage = np.clip(outer - inner, 0, 1)
    return Shape(coverage, inner if generator.random() < 0.35 else coverage, inner)


def stamp(coverage: NDArray[np.float32], place: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
    """Draw an ellipsoid into ``coverage`` by maximum, with soft borders of one cell.

    Args:
        coverage: (grid, ...), changed in place.
        place: The ellipsoid's middle in cell edge coordinates.
        radii: Half its lengths along each axis, in cells.
    """
    # Plain numbers, because arrays of two or three take ten times as long.
    block: list[slice] = []
    squared: NDArray[np.float64] = np.zeros(())
    for middle, radius, size in zip(place.tolist(), radii.tolist(), coverage.shape, strict=True):
        low, high = max(math.floor(middle - radius - 1), 0), min(math.ceil(middle + radius + 1), size)
        if high <= low:
            return
        block.append(slice(low, high))
        squared = squared[..., None] + ((np.arange(low, high) + (0.5 - middle)) / radius) ** 2
    values = (1 - np.sqrt(squared)) * min(radii.tolist()) + 0.5
    part = coverage[tuple(block)]
    # What is below 0 changes nothing by maximum.
    np.maximum(part, np.minimum(values, 1), out=part, casting="same_kind")


def stamp_balls(coverage: NDArray[np.float32], places: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
    """``stamp`` for many balls at once.

    Args:
        coverage: (grid, ...), changed in place.
        places: (balls, axes), the balls' middles in cell edge coordinates.
        radii: (balls,), in cells.
    """
    reaches = np.ceil(radii + 1).astype(np.int64)
    for reach in np.unique(reaches):
        alike = np.flatnonzero(reaches == reach)
        # In parts, because in volumes a ball has many cells.
        for first in range(0, len(alike), STAMPED_AT_ONCE):
            part = alike[first : first + STAMPED_AT_ONCE]
            _stamp_alike(coverage, places[part], radii[part], int(reach))


def _stamp_alike(
    coverage: NDArray[np.float32], places: NDArray[np.float64], radii: NDArray[np.float64], reach: int
) -> None:
    """``stamp_balls`` where none goes on beyond ``reach`` cells from the cell that its middle lies in."""
    window = np.arange(-reach, reach + 1)
    cells: NDArray[np.int64] = np.zeros((), dtype=np.int64)
    squared: NDArray[np.float64] = np.zeros(())
    for axis, size in enumerate(coverage.shape):
        middle = places[:, axis, None]
        along = np.floor(middle).astype(np.int64) + window
        # Beyond the grid: too far away to be drawn.
        apart = np.where((along >= 0) & (along < size), along + 0.5 - middle, np.inf)
        form = [len(places)] + [len(window) if a == axis else 1 for a in range(coverage.ndim)]
        cells = cells * size + along.reshape(form)
        squared = squared + (apart**2).reshape(form)
    edge = (radii + 0.5).reshape(-1, *(1,) * coverage.ndim)
    values = edge - np.sqrt(squared)
    seen = values > 0
    np.maximum.at(coverage.reshape(-1), cells[seen], np.minimum(values[seen], 1).astype(np.float32))


def _turned(heading: list[float], turn: list[float]) -> list[float]:
    """Return a direction changed by ``turn``, of length one; plain numbers, because small arrays take ten times as
    long.
    """
    changed = [h + t for h, t in zip(heading, turn, strict=True)]
    length = math.hypot(*changed)
    return [c / length for c in changed]


def _direction(axes: int, generator: np.random.Generator) -> NDArray[np.float64]:
    drawn = generator.standard_normal(axes)
    direction: NDArray[np.float64] = drawn / np.linalg.norm(drawn)
    return direction
