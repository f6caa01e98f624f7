"""What the appearance of images and of volumes is changed by, many windows at once.

Functions take the rows that they change, so that what is rarely done costs little, and read nothing back from a device.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.imaging.intensity import HIGH_PERCENTILE, LOW_PERCENTILE, MINIMUM_DEVIATION
from bedside.train.hashing import normal_cells

CURVE_KNOTS = 6
RANKED = 4096
"""About as many cells as ranks are taken from."""
REACH = 8
"""Cells within which the distance between those is measured."""
SMOOTH_MODES = {2: "bicubic", 3: "trilinear"}
"""Interpolation of smooth fields by the number of axes."""


def quantiles(image: Tensor, ranks: Tensor, counted: Tensor | None = None) -> Tensor:
    """Return quantiles of windows, from a regular part of their cells, channels taking turns.

    Args:
        image: float32 (batch, channels, *grid).
        ranks: float32 (batch, quantiles), 0 to 1.
        counted: bool (batch, *grid), the cells that count; all by default.

    Returns:
        float32 (batch, quantiles); of a window without a cell that counts the values are of no use.
    """
    batch, channels = image.shape[:2]
    flat = image.flatten(2)
    index = torch.arange(0, flat.shape[2], ranking_step(tuple(image.shape[2:])), device=image.device)
    values = flat[:, index % channels, index]
    number = torch.full((batch, 1), values.shape[1], device=image.device)
    if counted is not None:
        known = counted.flatten(1)[:, index]
        values = values.masked_fill(~known, torch.inf)
        number = known.sum(dim=1, keepdim=True).clamp(min=1)
    ordered = _sorted(values)
    place = ranks * (number - 1)
    below = place.long()
    above = torch.minimum(below + 1, number - 1)
    share = place - below
    return ordered.gather(1, below) * (1 - share) + ordered.gather(1, above) * share


def _sorted(values: Tensor) -> Tensor:
    """Return rows in rising order."""
    if values.device.type == "cpu":
        # NumPy's sort takes a fifth of the time of torch's.
        return torch.from_numpy(np.sort(values.numpy(), axis=1))
    return values.sort(dim=1).values


@lru_cache(maxsize=32)
def ranking_step(grid: tuple[int, ...]) -> int:
    """Return cells from one that ranks are taken from to the next, so that these are spread evenly over the grid.

    A step that falls into step with the rows of the grid would see a few lines or layers of it alone.
    """
    least = max(1, math.prod(grid) // RANKED)
    offsets = np.indices((2 * REACH + 1,) * len(grid)).reshape(len(grid), -1).T - REACH
    apart = offsets @ np.array([math.prod(grid[axis + 1 :]) for axis in range(len(grid))])
    length = np.square(offsets).sum(axis=1)

    def nearest(step: int) -> int:
        """Return squared distance between the nearest two of the cells."""
        return int(length[(apart % step == 0) & (length > 0)].min(initial=REACH**2))

    return max(range(least | 1, least + least // 4 + 2, 2), key=nearest)


def stretch(image: Tensor, ranks: Tensor) -> Tensor:
    """Return windows cut at two quantiles (batch, 2) and brought to 0 to 1."""
    limits = quantiles(image, ranks)
    low, high = (_by_cell(limits[:, n], image) for n in (0, 1))
    return ((image - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)


def normalise(image: Tensor, inside: Tensor) -> Tensor:
    """Return windows as ``imaging.intensity.normalise_window`` makes them for inference.

    Args:
        image: float32 (batch, channels, *grid), any range.
        inside: bool (batch, *grid), True where the window lies within the image.
    """
    # Filled on the device: values that come from the host would make it wait.
    ranks = [torch.full((len(image),), p / 100, device=image.device) for p in (LOW_PERCENTILE, HIGH_PERCENTILE)]
    limits = quantiles(image, torch.stack(ranks, dim=1), inside)
    low, high = (_by_cell(limits[:, n], image) for n in (0, 1))
    within = inside[:, None]
    flat = high <= low
    axes = tuple(range(1, image.ndim))
    # All but a speck is of one value, and the speck is what there is to see.
    low = torch.where(flat, image.masked_fill(~within, torch.inf).amin(dim=axes, keepdim=True), low)
    high = torch.where(flat, image.masked_fill(~within, -torch.inf).amax(dim=axes, keepdim=True), high)
    clipped = torch.minimum(torch.maximum(image, low), high) * within
    count = (within.sum(dim=axes, keepdim=True) * image.shape[1]).clamp(min=1)
    centred = (clipped - clipped.sum(dim=axes, keepdim=True) / count) * within
    deviation = (centred.square().sum(dim=axes, keepdim=True) / count).sqrt()
    least = torch.maximum(deviation, MINIMUM_DEVIATION * (high - low)).clamp(min=1e-6)
    return torch.where(within, centred / least, 0.0)


def smooth_field(knots: Tensor, grid: int) -> Tensor:
    """Return values at evenly spaced knots, the outermost at the border, interpolated on a grid.

    Args:
        knots: float32 (rows, channels, *knots).
        grid: Cells along each side.

    Returns:
        float32 (rows, channels, *grid).
    """
    axes = knots.ndim - 2
    return F.interpolate(knots, (grid,) * axes, mode=SMOOTH_MODES[axes], align_corners=True)


def apply_curve(image: Tensor, knots: Tensor) -> Tensor:
    """Return a piecewise linear curve through ``knots`` (rows, ``CURVE_KNOTS``), evenly spaced from 0 to 1, of each
    row.
    """
    place = image.clamp(0, 1) * (CURVE_KNOTS - 1 - 1e-3)
    index = place.long()
    share = place - index
    flat = index.flatten(1)
    low = knots.gather(1, flat).view_as(image)
    high = knots.gather(1, flat + 1).view_as(image)
    return low * (1 - share) + high * share


def blur(image: Tensor, sigma: Tensor, mode: str, largest: int) -> Tensor:
    """Return a Gaussian of ``sigma`` (rows,) cells along each axis of (rows, channels, *grid).

    Args:
        image: To blur.
        sigma: Standard deviations; taps reach as far as twice that, rounded, and at least one cell.
        mode: What lies beyond the grid, "reflect" or "replicate".
        largest: Cells that the taps reach at most.
    """
    reach = (2 * sigma).round().clamp(min=1, max=largest)
    offsets = torch.arange(-largest, largest + 1, dtype=torch.float32, device=image.device)
    taps = (-0.5 * (offsets / sigma[:, None]).square()).exp() * (offsets.abs() <= reach[:, None])
    taps = taps / taps.sum(dim=1, keepdim=True)
    axes = image.ndim - 2
    padded = F.pad(image, [largest] * (2 * axes), mode=mode)
    for axis in range(2, image.ndim):
        size = image.shape[axis]
        total = None
        for number in range(2 * largest + 1):
            part = padded.narrow(axis, number, size) * _by_cell(taps[:, number], padded)
            total = part if total is None else total + part
        assert total is not None
        padded = total
    return padded


def add_noise(image: Tensor, noise: Tensor, strength: Tensor, speckle: Tensor) -> Tensor:
    """Return rows with noise added, or, where ``speckle`` (rows,), with noise in proportion to the signal, as in
    ultrasound.

    Args:
        image: float32 (rows, channels, *grid).
        noise: The same, or with one channel.
        strength: float32 (rows,).
        speckle: bool (rows,).
    """
    scaled = noise * _by_cell(strength, image)
    return torch.where(_by_cell(speckle, image), image * (1 + 2 * scaled), image + scaled)


def white_noise(keys: Tensor, stream: int, shape: tuple[int, ...]) -> Tensor:
    """Return normal noise (rows, *shape)."""
    count = 1
    for side in shape:
        count *= side
    return normal_cells(keys, stream, count).view(len(keys), *shape)


def coarsening(factor: Tensor, grid: int, smallest: int) -> Tensor:
    """Return matrices (rows, grid, grid): lines of cells shrunk by ``factor`` (rows,) with antialiasing and enlarged
    again.
    """
    coarse = torch.maximum((grid / factor).floor(), torch.full_like(factor, smallest))[:, None, None]
    scale = grid / coarse
    cell = torch.arange(grid, dtype=torch.float32, device=factor.device)
    middle = (cell[:, None] + 0.5) * scale
    down = (1 - (cell[None, None] + 0.5 - middle).abs() / scale).clamp(min=0)
    down = down / down.sum(dim=2, keepdim=True).clamp(min=1e-6)
    # Enlarging is bilinear, with the border continued.
    place = ((cell[:, None] + 0.5) / scale - 0.5).clamp(min=0)
    place = torch.minimum(place, coarse - 1)
    up = (1 - (cell[None, None] - place).abs()).clamp(min=0)
    return up @ (down * (cell[:, None] < coarse))


def _by_cell(values: Tensor, like: Tensor) -> Tensor:
    """Return values (batch,) shaped to be broadcast over ``like``."""
    return values.view(-1, *(1,) * (like.ndim - 1))
