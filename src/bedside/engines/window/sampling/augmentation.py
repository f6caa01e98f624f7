"""Augmentation of training windows: parameters are drawn first and applied second.

Works on one sample with NumPy and torch on the CPU; drawing uses a private ``numpy.random.Generator`` only.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    axis = (torch.arange(grid, dtype=torch.float32) + 0.5) / grid - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
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
    return torch.stack([warp.centre[0] + turned_y * warp.sides[0], warp.centre[1] + turned_x * warp.sides[1]], dim=-1)


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
    local = (positions - low) / step
    shape = torch.tensor(block.shape[1:], dtype=torch.float32)
    normalised = (local / shape * 2 - 1).flip(-1)[None]
    mode = "zeros" if zeros else "border"
    return F.grid_sample(block[None], normalised, mode="bilinear", padding_mode=mode, align_corners=False)[0]


def inside_plane(positions: Tensor, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return cells whose centres lie within a plane of ``shape``."""
    size = torch.tensor(shape[:2], dtype=torch.float32)
    inside: NDArray[np.bool_] = ((positions >= 0) & (positions <= size)).all(dim=-1).numpy()
    return inside


def augment_intensity(image: Tensor, generator: np.random.Generator, *, colour: bool) -> Tensor:
    """Change the appearance of a window at random.

    Args:
        image: float32 (3, grid, grid), any range.
        generator: Source of randomness.
        colour: Whether the channels differ; grey images keep equal channels.

    Returns:
        float32 (3, grid, grid), roughly 0 to 1.
    """
    low_rank, high_rank = (0.005, 0.995)
    if generator.random() < 0.15:
        low_rank, high_rank = generator.uniform(0.0, 0.2), generator.uniform(0.8, 1.0)
    flat = image.reshape(-1)[::13]
    low, high = torch.quantile(flat, torch.tensor([low_rank, high_rank], dtype=torch.float32))
    image = ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    if colour:
        image = _augment_colour(image, generator)
    if generator.random() < 0.15:
        image = 1 - image
    if generator.random() < 0.5:
        image = image ** float(np.exp(generator.uniform(-0.6, 0.6)))
    if generator.random() < 0.06:
        image = _random_curve(image, generator)
    if generator.random() < 0.15:
        image = image * _smooth_field(generator, image.shape[-1], 0.4)
    if generator.random() < 0.15:
        image = _blur(image, generator.uniform(0.4, 1.6))
    if generator.random() < 0.1:
        image = _coarsen(image, generator.uniform(1.5, 4.0))
    if generator.random() < 0.25:
        image = _add_noise(image, generator, colour=colour)
    return image


def _augment_colour(image: Tensor, generator: np.random.Generator) -> Tensor:
    if generator.random() < 0.2:
        grey = torch.tensor(generator.dirichlet((1.0, 1.0, 1.0)), dtype=torch.float32)
        return (image * grey[:, None, None]).sum(dim=0, keepdim=True).expand(3, -1, -1)
    if generator.random() < 0.15:
        image = image[torch.from_numpy(generator.permutation(3))]
    if generator.random() < 0.6:
        gain = torch.tensor(generator.uniform(0.7, 1.3, size=3), dtype=torch.float32)
        shift = torch.tensor(generator.uniform(-0.1, 0.1, size=3), dtype=torch.float32)
        image = image * gain[:, None, None] + shift[:, None, None]
    if generator.random() < 0.3:
        grey_part = image.mean(dim=0, keepdim=True)
        image = grey_part + (image - grey_part) * float(generator.uniform(0.2, 1.8))
    return image.clamp(0, 1)


def _random_curve(image: Tensor, generator: np.random.Generator) -> Tensor:
    """Return a random piecewise linear curve, not always rising: tissue contrasts of a sequence never seen."""
    knots = torch.tensor(generator.uniform(0, 1, size=6), dtype=torch.float32)
    position = image.clamp(0, 1) * 4.999
    index = position.long()
    share = position - index
    return knots[index] * (1 - share) + knots[index + 1] * share


def _smooth_field(generator: np.random.Generator, grid: int, strength: float) -> Tensor:
    coarse = torch.tensor(generator.uniform(-strength, strength, size=(1, 1, 4, 4)), dtype=torch.float32)
    return 1 + F.interpolate(coarse, (grid, grid), mode="bicubic", align_corners=True)[0]


def _blur(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, round(2 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    padded = F.pad(image[None], (radius,) * 4, mode="reflect")
    channels = image.shape[0]
    padded = F.conv2d(padded, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(padded, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)[0]


def _coarsen(image: Tensor, factor: float) -> Tensor:
    grid = image.shape[-1]
    small = F.interpolate(image[None], (max(8, int(grid / factor)),) * 2, mode="bilinear", antialias=True)
    return F.interpolate(small, (grid, grid), mode="bilinear", align_corners=False)[0]


def _add_noise(image: Tensor, generator: np.random.Generator, *, colour: bool) -> Tensor:
    shape = tuple(image.shape) if colour else (1, *image.shape[1:])
    noise = torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    strength = float(generator.uniform(0.0, 0.1))
    if generator.random() < 0.4:
        # Speckle: noise in proportion to the signal, as in ultrasound.
        return image * (1 + 2 * strength * noise)
    return image + strength * noise
