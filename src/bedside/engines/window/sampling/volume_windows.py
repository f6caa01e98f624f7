"""Windows of volumes: where a window lies is drawn first, and its cells are read second."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.plane_windows import sampling_grid, unit_grid

AXES = 3
ORDERS = tuple(permutations(range(AXES)))
FLAT_CHANCE = 0.15
"""Of windows that are stretched along one axis by itself."""


@dataclass(frozen=True, eq=False)
class VolumeWarp:
    """Where the cells of the grid lie in the volume.

    Attributes:
        centre: (z, y, x) in voxel edge coordinates.
        matrix: float64 (3, 3), from a position in parts of the grid's side, -0.5 to 0.5 in the grid's axes, to voxels.
        displacement: (3, n, n, n) smooth displacement in parts of the side, or None.
    """

    centre: tuple[float, float, float]
    matrix: NDArray[np.float64]
    displacement: NDArray[np.float32] | None = None

    def cells(self, grid: int) -> tuple[float, ...]:
        """Return length of a cell in voxels along each axis of the volume."""
        return tuple(np.sqrt((self.matrix**2).sum(axis=1)) / grid)


def plain_warp(centre: tuple[float, float, float], sides: tuple[float, ...]) -> VolumeWarp:
    """Return the window as it is, without augmentation."""
    return VolumeWarp(centre, np.diag(np.asarray(sides, dtype=np.float64)))


def draw_volume_warp(
    centre: tuple[float, float, float],
    sides: tuple[float, ...],
    generator: np.random.Generator,
    anisotropy: float = 1.0,
) -> VolumeWarp:
    """Draw axes in any order and direction, rotation, unequal scaling and, now and then, a smooth deformation.

    Args:
        centre: Centre of the window, (z, y, x) in voxel edge coordinates.
        sides: Sides of the window in voxels.
        generator: Source of randomness.
        anisotropy: How often an axis is stretched by itself, in parts of ``FLAT_CHANCE``.
    """
    turn = np.eye(AXES)[list(ORDERS[generator.integers(len(ORDERS))])] * generator.choice((-1.0, 1.0), size=AXES)
    kind = generator.random()
    if kind < 0.5:
        turn = rotation(generator, np.pi if kind < 0.12 else 0.35) @ turn
    stretch = generator.uniform(-0.2, 0.2, size=AXES)
    if generator.random() < FLAT_CHANCE * anisotropy:
        # Slices of unknown spacing make bodies flat or long.
        stretch[generator.integers(AXES)] += generator.uniform(-0.6, 0.6)
    stretch = np.exp(stretch - stretch.mean())
    displacement = None
    if generator.random() < 0.15:
        displacement = (generator.standard_normal((AXES, 4, 4, 4)) * generator.uniform(0.0, 0.03)).astype(np.float32)
    return VolumeWarp(centre, np.diag(sides) @ turn @ np.diag(stretch), displacement)


def rotation(generator: np.random.Generator, largest: float) -> NDArray[np.float64]:
    """Return a rotation (3, 3) about a random axis by at most ``largest`` radians (Rodrigues' formula)."""
    axis = generator.standard_normal(AXES)
    z, y, x = axis / np.linalg.norm(axis)
    cross = np.array([[0, -x, y], [x, 0, -z], [-y, z, 0]])
    angle = generator.uniform(-largest, largest)
    turned: NDArray[np.float64] = np.eye(AXES) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def grid_positions(warp: VolumeWarp, grid: int) -> Tensor:
    """Return voxel edge coordinates (grid, grid, grid, 3), last axis (z, y, x), of the centres of the grid's cells."""
    unit = unit_grid(grid, AXES)
    if warp.displacement is not None:
        field = F.interpolate(
            torch.from_numpy(warp.displacement)[None], (grid,) * AXES, mode="trilinear", align_corners=True
        )
        unit = unit + field[0]
    matrix = torch.tensor(warp.matrix, dtype=torch.float32)
    places = torch.addmm(torch.tensor(warp.centre, dtype=torch.float32)[:, None], matrix, unit.flatten(1))
    # Coordinates lie apart in memory, so that each is computed with at once.
    return places.view(AXES, *(grid,) * AXES).permute(1, 2, 3, 0)


def bounding_slices(positions: Tensor, shape: tuple[int, ...], margin: float) -> tuple[slice, ...]:
    """Return the part of a volume of ``shape`` that positions within it read, at least one voxel on each axis."""
    size = torch.tensor(shape, dtype=torch.float32)
    flat = positions.reshape(-1, AXES)
    low = (flat.amin(dim=0) - margin).clamp(min=0).floor().minimum(size - 1)
    high = (flat.amax(dim=0) + margin).ceil().minimum(size).maximum(low + 1)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def sample_volume(
    block: NDArray[Any], start: tuple[int, ...], positions: Tensor, cells: tuple[float, ...], *, zeros: bool = False
) -> Tensor:
    """Read a block of a volume at positions, averaging first where a cell of the grid is larger than a voxel.

    Args:
        block: (z, y, x).
        start: Where the block begins in the volume.
        positions: (grid, grid, grid, 3) voxel edge coordinates of the volume, (z, y, x).
        cells: Length of a cell in voxels along each axis.
        zeros: Read zeros outside the block instead of its border.

    Returns:
        float32 (grid, grid, grid).
    """
    values = torch.from_numpy(np.ascontiguousarray(block, dtype=np.float32))[None, None]
    step = tuple(max(1, min(int(c), n)) for c, n in zip(cells, block.shape, strict=True))
    if max(step) > 1:
        values = F.avg_pool3d(values, step, ceil_mode=True, count_include_pad=False)
    begin, length = (torch.tensor(v, dtype=torch.float32) for v in (start, step))
    normalised = sampling_grid(positions, begin, length, values.shape[2:])
    mode = "zeros" if zeros else "border"
    return F.grid_sample(values, normalised, mode="bilinear", padding_mode=mode, align_corners=False)[0, 0]


def inside_volume(positions: Tensor, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return cells whose centres lie within a volume of ``shape``."""
    size = torch.tensor(shape, dtype=torch.float32)
    inside: NDArray[np.bool_] = ((positions >= 0) & (positions <= size)).all(dim=-1).numpy()
    return inside
