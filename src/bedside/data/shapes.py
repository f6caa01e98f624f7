"""Shapes that few data sets show and many images hold: branching trees, groups of blobs, shells.

They are drawn in cells of the grid, in two or three dimensions, and put into images by ``insertion``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KINDS = ("tree", "group", "shell")
KIND_SHARES = (0.4, 0.4, 0.2)
MOST_STAMPS = 500
"""Balls a tree is made of at most."""
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
    """A random shape around the middle of the grid.

    Args:
        grid: Cells along each side.
        axes: 2 or 3.
        extent: Length of the shape in parts of the grid's side; above 1 it goes on beyond the grid.
        generator: Source of randomness.
    """
    kind = generator.choice(len(KINDS), p=KIND_SHARES)
    return (random_tree, random_group, random_shell)[kind](grid, axes, extent, generator)


def random_tree(grid: int, axes: int, extent: float, generator: np.random.Generator) -> Shape:
    """Tubes that bend, branch and grow thinner, as vessels and airways do; all of it is meant."""
    coverage = np.zeros((grid,) * axes, dtype=np.float32)
    length = extent * grid
    middle = np.full(axes, grid / 2)
    heading = _direction(axes, generator)
    begin = middle - heading * length / 2 + generator.normal(0, 0.05 * length, size=axes)
    radius = float(np.exp(generator.uniform(np.log(0.8), np.log(max(1.0, 0.035 * length)))))
    branches = deque([(begin, heading, radius, length)])
    bend, balls = float(generator.uniform(0.02, 0.16)), 0
    while branches and balls < MOST_STAMPS:
        place, heading, radius, left = branches.popleft()
        part = left * generator.uniform(0.2, 0.6)
        step = max(0.8, 0.7 * radius)
        for _ in range(int(part / step)):
            stamp(coverage, place, np.full(axes, radius))
            heading = heading + bend * generator.standard_normal(axes)
            heading = heading / np.linalg.norm(heading)
            place = place + step * heading
            balls += 1
        if np.abs(place - middle).max() > 0.75 * max(length, grid) or left - part < 3 * step:
            continue
        for _ in range(2):
            turned = heading + generator.uniform(0.3, 0.9) * _direction(axes, generator)
            thinner = max(0.6, radius * generator.uniform(0.6, 0.95))
            branches.append((place, turned / np.linalg.norm(turned), thinner, left - part))
    return Shape(coverage, coverage, np.zeros_like(coverage))


def random_group(grid: int, axes: int, extent: float, generator: np.random.Generator) -> Shape:
    """Blobs that are scattered, as lesions and nuclei are; all of them are meant, or one."""
    coverage = np.zeros((grid,) * axes, dtype=np.float32)
    count = int(np.exp(generator.uniform(np.log(2), np.log(40))))
    largest = max(1.2, extent * grid * 0.35 / count ** (1 / axes))
    size = float(np.exp(generator.uniform(np.log(1.0), np.log(largest))))
    places = grid / 2 + generator.uniform(-0.5, 0.5, size=(count, axes)) * extent * grid
    members = []
    for place in places:
        member = np.zeros_like(coverage)
        radii = size * np.exp(generator.normal(0, 0.3, size=axes))
        for _ in range(int(generator.integers(1, 4))):
            stamp(
                member, place + generator.normal(0, 0.5, size=axes) * radii, radii * generator.uniform(0.6, 1.0, axes)
            )
        members.append(member)
        np.maximum(coverage, member, out=coverage)
    chosen = members[int(generator.integers(count))]
    alone = generator.random() < MEMBER_SHARE and chosen.max() > 0.5
    # A member that touches others cannot be meant alone.
    others = coverage - chosen
    alone = alone and not ((others > 0.25) & (chosen > 0.25)).any()
    return Shape(coverage, chosen if alone else coverage, np.zeros_like(coverage))


def random_shell(grid: int, axes: int, extent: float, generator: np.random.Generator) -> Shape:
    """A closed wall, as of cysts, myelin and vessels cut across; the wall is meant, or what it holds."""
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
    low = np.clip(np.floor(place - radii - 1), 0, None).astype(int)
    high = np.minimum(np.ceil(place + radii + 1).astype(int), coverage.shape)
    if (high <= low).any():
        return
    squared = np.zeros((1,) * coverage.ndim)
    for axis, (a, b) in enumerate(zip(low, high, strict=True)):
        shape = [-1 if n == axis else 1 for n in range(coverage.ndim)]
        squared = squared + (((np.arange(a, b) + 0.5 - place[axis]) / radii[axis]) ** 2).reshape(shape)
    values = np.clip((1 - np.sqrt(squared)) * radii.min() + 0.5, 0, 1)
    block = coverage[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    np.maximum(block, values, out=block, casting="same_kind")


def _direction(axes: int, generator: np.random.Generator) -> NDArray[np.float64]:
    drawn = generator.standard_normal(axes)
    direction: NDArray[np.float64] = drawn / np.linalg.norm(drawn)
    return direction
