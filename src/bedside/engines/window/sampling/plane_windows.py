"""Windows of images: where a window lies is drawn first, and its cells are read second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Warp:
    """Where the cells of the grid lie in the plane.

    Attributes:
        centre: (y, x) in pixel edge coordinates.
        sides: Window's sides in pixels, (y, x), before rotation.
        angle: Rotation in radians.
        flip: Whether to mirror (y, x).
        displacement: (2, n, n) smooth displacement in parts of the side, or None.
    """

    centre: tuple[float, float]
    sides: tuple[float, float]
    angle: float
    flip: tuple[bool, bool]
    displacement: NDArray[np.float32] | None


def draw_warp(centre: tuple[float, float], sides: tuple[float, float], generator: np.random.Generator) -> Warp:
    """Draw a rotation, flips, unequal scaling and, now and then, a smooth deformation of a window."""
    kind = generator.random()
    if kind < 0.25:
        angle = generator.uniform(-np.pi, np.pi)
    elif kind < 0.55:
        angle = generator.uniform(-0.3, 0.3)
    else:
        angle = float(generator.integers(4)) * np.pi / 2
    stretch = np.exp(generator.uniform(-0.2, 0.2))
    flip = (bool(generator.random() < 0.3), bool(generator.random() < 0.5))
    displacement = None
    if generator.random() < 0.15:
        displacement = (generator.standard_normal((2, 5, 5)) * generator.uniform(0.0, 0.03)).astype(np.float32)
    return Warp(centre, (sides[0] * stretch, sides[1] / stretch), float(angle), flip, displacement)


def grid_positions(warp: Warp, grid: int) -> Tensor:
    """Return pixel edge coordinates (grid, grid, 2), last axis (y, x), of the centres of the grid's cells."""
    y, x = unit_grid(grid, 2)
    if warp.displacement is not None:
        field = F.interpolate(
            torch.from_numpy(warp.displacement)[None], (grid, grid), mode="bicubic", align_corners=True
        )
        y, x = y + field[0, 0], x + field[0, 1]
    y = -y if warp.flip[0] else y
    x = -x if warp.flip[1] else x
    cos, sin = float(np.cos(warp.angle)), float(np.sin(warp.angle))
    # Rotation comes before the unequal sides, so that pixels of unequal spacing stay a rotation of the body.
    turned_y, turned_x = cos * y - sin * x, sin * y + cos * x
    places = [warp.centre[0] + turned_y * warp.sides[0], warp.centre[1] + turned_x * warp.sides[1]]
    # Coordinates lie apart in memory, so that each is computed with at once.
    return torch.stack(places).permute(1, 2, 0)


@lru_cache(maxsize=16)
def unit_grid(grid: int, axes: int) -> Tensor:
    """Return the centres of a grid's cells in parts of its side, -0.5 to 0.5: (axes, *grid), not to be changed."""
    axis = (torch.arange(grid, dtype=torch.float32) + 0.5) / grid - 0.5
    return torch.stack(torch.meshgrid(*[axis] * axes, indexing="ij"))


def sampling_grid(positions: Tensor, start: Tensor, step: Tensor, shape: Sequence[int]) -> Tensor:
    """Return positions as ``grid_sample`` takes them.

    Args:
        positions: (*grid, axes) edge coordinates in array order.
        start: (axes,), where a block begins.
        step: (axes,), voxels that a cell of the block holds along each axis.
        shape: Cells of the block along each axis.

    Returns:
        (1, *grid, axes), -1 to 1 from one border of the block to the other, the last axis of the array first.
    """
    scale = 2 / (step * torch.tensor(shape, dtype=torch.float32))
    return (positions * scale - (start * scale + 1)).flip(-1)[None]


def sample_plane(plane: NDArray[Any], positions: Tensor, cell: float, *, zeros: bool = False) -> Tensor:
    """Read a plane at positions, averaging first where a cell of the grid is larger than a pixel.

    Args:
        plane: (y, x) or (y, x, channels).
        positions: (grid, grid, 2) pixel edge coordinates (y, x).
        cell: Side of a cell in pixels.
        zeros: Read zeros outside the plane instead of its border.

    Returns:
        float32 (channels, grid, grid).
    """
    size = torch.tensor(plane.shape[:2], dtype=torch.float32)
    margin = cell + 2
    low = (positions.amin(dim=(0, 1)) - margin).clamp(min=0).floor().minimum(size - 1)
    high = (positions.amax(dim=(0, 1)) + margin).ceil().minimum(size).maximum(low + 1)
    (y0, x0), (y1, x1) = low.int().tolist(), high.int().tolist()
    block = torch.from_numpy(np.ascontiguousarray(plane[y0:y1, x0:x1]).astype(np.float32))
    block = block[None] if block.ndim == 2 else block.permute(2, 0, 1)
    step = max(1, int(cell))
    if step > 1:
        block = F.avg_pool2d(block[None], step, ceil_mode=True, count_include_pad=False)[0]
    normalised = sampling_grid(positions, low, torch.full((2,), float(step)), block.shape[1:])
    mode = "zeros" if zeros else "border"
    return F.grid_sample(block[None], normalised, mode="bilinear", padding_mode=mode, align_corners=False)[0]


def inside_plane(positions: Tensor, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return cells whose centres lie within a plane of ``shape``."""
    size = torch.tensor(shape[:2], dtype=torch.float32)
    inside: NDArray[np.bool_] = ((positions >= 0) & (positions <= size)).all(dim=-1).numpy()
    return inside
