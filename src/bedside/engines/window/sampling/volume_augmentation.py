"""Augmentation of training windows of volumes: parameters are drawn first and applied second.

The counterpart of ``augmentation`` for three axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

AXES = 3
ORDERS = tuple(permutations(range(AXES)))
FLAT_CHANCE, THICK_CHANCE = 0.15, 0.2
"""Of windows that are stretched along one axis by itself, and that are shown in thick slices."""


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
    axis = (torch.arange(grid, dtype=torch.float32) + 0.5) / grid - 0.5
    unit = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    if warp.displacement is not None:
        field = F.interpolate(
            torch.from_numpy(warp.displacement)[None], (grid,) * AXES, mode="trilinear", align_corners=True
        )
        unit = unit + field[0].permute(1, 2, 3, 0)
    matrix = torch.tensor(warp.matrix, dtype=torch.float32)
    return unit @ matrix.T + torch.tensor(warp.centre, dtype=torch.float32)


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
    local = (positions - torch.tensor(start, dtype=torch.float32)) / torch.tensor(step, dtype=torch.float32)
    normalised = (local / torch.tensor(values.shape[2:], dtype=torch.float32) * 2 - 1).flip(-1)[None]
    mode = "zeros" if zeros else "border"
    return F.grid_sample(values, normalised, mode="bilinear", padding_mode=mode, align_corners=False)[0, 0]


def inside_volume(positions: Tensor, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return cells whose centres lie within a volume of ``shape``."""
    size = torch.tensor(shape, dtype=torch.float32)
    inside: NDArray[np.bool_] = ((positions >= 0) & (positions <= size)).all(dim=-1).numpy()
    return inside


def augment_volume(image: Tensor, generator: np.random.Generator, anisotropy: float = 1.0) -> Tensor:
    """Change the appearance of a window at random: contrast, inversion, bias field, blur, thick slices, noise.

    Args:
        image: float32 (grid, grid, grid), any range.
        generator: Source of randomness.
        anisotropy: How often slices are thick, in parts of ``THICK_CHANCE``.

    Returns:
        float32 of the same shape, roughly 0 to 1.
    """
    low_rank, high_rank = (0.005, 0.995)
    if generator.random() < 0.15:
        low_rank, high_rank = generator.uniform(0.0, 0.2), generator.uniform(0.8, 1.0)
    low, high = torch.quantile(image.reshape(-1)[::7], torch.tensor([low_rank, high_rank], dtype=torch.float32))
    image = ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    if generator.random() < 0.2:
        image = 1 - image
    if generator.random() < 0.5:
        image = image ** float(np.exp(generator.uniform(-0.6, 0.6)))
    if generator.random() < 0.08:
        image = _random_curve(image, generator)
    if generator.random() < 0.2:
        image = image * (1 + 0.4 * smooth_noise(image.shape[0], 4, generator))
    if generator.random() < THICK_CHANCE * anisotropy:
        image = coarsen_axis(image, int(generator.integers(AXES)), int(generator.integers(2, 7)))
    elif generator.random() < 0.2:
        image = blur(image, generator.uniform(0.4, 1.3))
    if generator.random() < 0.25:
        image = _add_noise(image, generator)
    return image


def smooth_noise(grid: int, knots: int, generator: np.random.Generator) -> Tensor:
    """Return a smooth random field (grid, grid, grid), uniform from -1 to 1 at ``knots`` cubed places."""
    coarse = torch.tensor(generator.uniform(-1, 1, size=(1, 1, knots, knots, knots)), dtype=torch.float32)
    return F.interpolate(coarse, (grid,) * AXES, mode="trilinear", align_corners=True)[0, 0]


def coarsen_axis(image: Tensor, axis: int, factor: int) -> Tensor:
    """Return the image as thick slices across ``axis`` show it: averaged over ``factor`` cells, then interpolated."""
    kernel = [1] * AXES
    kernel[axis] = factor
    coarse = F.avg_pool3d(image[None, None], kernel, ceil_mode=True, count_include_pad=False)
    shape = list(image.shape)
    shape[axis] = coarse.shape[2 + axis] * factor
    fine = F.interpolate(coarse, shape, mode="trilinear", align_corners=False)[0, 0]
    return fine.narrow(axis, 0, image.shape[axis])


def blur(image: Tensor, sigma: float) -> Tensor:
    """Return the image (y, x) or (z, y, x) after a Gaussian of ``sigma`` cells along each axis."""
    radius = max(1, round(2 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    axes = image.ndim
    convolve = F.conv2d if axes == 2 else F.conv3d
    values = F.pad(image[None, None], (radius,) * (2 * axes), mode="replicate")
    for axis in range(axes):
        shape = [1] * axes
        shape[axis] = -1
        values = convolve(values, taps.view(1, 1, *shape))
    return values[0, 0]


def _random_curve(image: Tensor, generator: np.random.Generator) -> Tensor:
    """Return a random piecewise linear curve, not always rising: tissue contrasts of a sequence never seen."""
    knots = torch.tensor(generator.uniform(0, 1, size=6), dtype=torch.float32)
    position = image.clamp(0, 1) * 4.999
    index = position.long()
    share = position - index
    return knots[index] * (1 - share) + knots[index + 1] * share


def _add_noise(image: Tensor, generator: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(generator.standard_normal(tuple(image.shape), dtype=np.float32))
    if generator.random() < 0.3:
        noise = 2 * blur(noise, 0.8)
    strength = float(generator.uniform(0.0, 0.12))
    if generator.random() < 0.4:
        # Speckle: noise in proportion to the signal, as in ultrasound.
        return image * (1 + 2 * strength * noise)
    return image + strength * noise
