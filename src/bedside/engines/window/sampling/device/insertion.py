"""Shapes put into windows of many samples at once, in two axes or three; the distributions are those of
``window.sampling.insertion``.

The shapes are drawn on the CPU, with the records, and painted on the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.device.appearance import quantiles, white_noise
from bedside.engines.window.sampling.insertion import (
    CONTRAST,
    CORE_SHARE,
    EXTENTS,
    HIDING_SHARE,
    OPACITY,
    RANGE_RANKS,
    SMALLEST_RANGE,
    SMALLEST_WEIGHT,
    TEXTURE,
    TINT,
)
from bedside.engines.window.sampling.shapes import Shape, random_shape
from bedside.train.hashing import Draws
from bedside.train.sampling import MAXIMUM_TRIES

MODES = ("box", "wide", "close")
"""Keys of ``EXTENTS`` by the numbers that windows are drawn with."""
SHAPE_SALT, PAINT_SALT = 5, 6
"""Of streams of random numbers."""
COVERAGE_NOISE, CORE_NOISE = 30, 31
"""Streams of noise."""
FULL = 255
"""Coverage of a cell that lies within a shape."""


def draw_insertions(
    inserted: NDArray[np.int64],
    mode: NDArray[np.int64],
    colour: NDArray[np.bool_],
    seed: int,
    numbers: NDArray[np.int64],
    shape: tuple[int, ...],
    minimum_cells: int,
) -> dict[str, NDArray[Any]]:
    """Return which shapes are put into samples, and how.

    Args:
        inserted: int64, rows of the samples that get one.
        mode: int64 (samples,), of ``MODES``, how they start.
        colour: bool (samples,), whether their channels differ.
        seed: Seed of the run.
        numbers: int64 (samples,), the samples' numbers.
        shape: Shape of the image on the grid: (channels, grid, grid[, grid]).
        minimum_cells: Cells of the grid that a shape must cover; where none of those drawn does, the last is taken.

    Returns:
        inserted: As given. inserted_object: uint8 0/1 (inserted, *grid), what is meant; inserted_coverage: uint8
            (inserted, *grid), 0 to ``FULL``, how much of a cell belongs to what is seen; inserted_paint: float32
            (inserted, 4 + channels): contrast, texture, opacity, 1 where the shape hides what lies below, and the tint
            of every channel, see ``window.sampling.insertion.Paint``.
        cored: int64, which of ``inserted`` are shells whose inside is painted; core: uint8 (cored, *grid), that
            inside; core_paint: float32 (cored, 4 + channels).
    """
    draws = Draws(seed, numbers[inserted], PAINT_SALT)
    channels, *grid = shape
    layers = np.zeros((3, len(inserted), *grid), dtype=np.uint8)
    for place, row in enumerate(inserted):
        generator = np.random.default_rng((seed, int(numbers[row]), SHAPE_SALT))
        drawn = _draw_shape(grid[0], len(grid), MODES[mode[row]], minimum_cells, generator)
        layers[0, place] = drawn.object > 0.5
        layers[1, place] = np.rint(drawn.coverage * FULL)
        layers[2, place] = np.rint(drawn.core * FULL)
    paints = [_draw_paint(colour[inserted], channels, draws) for _ in range(2)]
    present: NDArray[np.bool_] = layers[2].any(axis=tuple(range(1, 1 + len(grid))))
    cored = np.flatnonzero(present & draws.chance(CORE_SHARE))
    return {
        "inserted": inserted,
        "inserted_object": layers[0],
        "inserted_coverage": layers[1],
        "inserted_paint": paints[0],
        "cored": cored,
        "core": layers[2, cored],
        "core_paint": paints[1][cored],
    }


def _draw_shape(grid: int, axes: int, mode: str, minimum_cells: int, generator: np.random.Generator) -> Shape:
    """Return a shape of which enough lies on the grid; the last one drawn if none does."""
    for _ in range(MAXIMUM_TRIES):
        drawn = random_shape(grid, axes, float(generator.uniform(*EXTENTS[mode])), generator)
        if (drawn.object > 0.5).sum() >= minimum_cells:
            break
    return drawn


def _draw_paint(colour: NDArray[np.bool_], channels: int, draws: Draws) -> NDArray[np.float32]:
    """Return (rows, 4 + channels), see ``draw_insertions``; where the channels are equal they stay so."""
    contrast = draws.uniform(*CONTRAST) * np.where(draws.chance(0.5), 1.0, -1.0)
    texture, opacity, hides = draws.uniform(*TEXTURE), draws.uniform(*OPACITY), draws.chance(HIDING_SHARE)
    tint = draws.uniforms(channels, *TINT)
    tint = np.where(colour[:, None], tint, tint[:, :1])
    numbers = np.stack([contrast, texture, opacity, hides], axis=1)
    return np.concatenate([numbers, tint], axis=1).astype(np.float32)


def insert_shapes(image: Tensor, truth: Tensor, inside: Tensor, table: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return windows with their shapes painted, and with these as their objects.

    Args:
        image: float32 (batch, channels, *grid), any range; changed in place.
        truth: bool (batch, *grid); changed in place.
        inside: bool (batch, *grid), True where the window lies within the image.
        table: As ``draw_insertions`` gives it, with "key".

    Returns:
        image and truth.
    """
    rows = table["inserted"]
    if not len(rows):
        return image, truth
    keys, grid = table["key"][rows], tuple(truth.shape[1:])
    before = image[rows]
    span = intensity_range(before)
    noise = white_noise(keys, COVERAGE_NOISE, (1, *grid))
    painted = paint_layers(before, table["inserted_coverage"], span, table["inserted_paint"], noise)
    if len(cored := table["cored"]):
        noise = white_noise(keys[cored], CORE_NOISE, (1, *grid))
        filled = paint_layers(painted[cored], table["core"], span[cored], table["core_paint"], noise)
        painted.index_copy_(0, cored, filled)
    image.index_copy_(0, rows, painted)
    truth.index_copy_(0, rows, (table["inserted_object"] > 0) & inside[rows])
    return image, truth


def intensity_range(image: Tensor) -> Tensor:
    """Return the range of intensities (batch, channels) of windows (batch, channels, *grid), without outliers."""
    apart = image.flatten(0, 1)[:, None]
    # Filled on the device: values that come from the host would make it wait.
    ranks = torch.stack([torch.full((len(apart),), rank, device=image.device) for rank in RANGE_RANKS], dim=1)
    limits = quantiles(apart, ranks).view(*image.shape[:2], 2)
    return (limits[..., 1] - limits[..., 0]).clamp(min=SMALLEST_RANGE)


def paint_layers(image: Tensor, coverage: Tensor, span: Tensor, paint: Tensor, noise: Tensor) -> Tensor:
    """Return windows with one layer painted on each, see ``window.sampling.insertion.paint_layer``.

    Args:
        image: float32 (rows, channels, *grid).
        coverage: uint8 (rows, *grid), 0 to ``FULL``.
        span: float32 (rows, channels), the windows' ranges of intensities.
        paint: float32 (rows, 4 + channels), see ``draw_insertions``.
        noise: float32 (rows, 1, *grid), of the standard normal distribution.
    """
    axes = tuple(range(2, image.ndim))
    ones = (1,) * len(axes)
    contrast, texture, opacity, hides = (paint[:, n].view(-1, 1, *ones) for n in range(4))
    weight = coverage[:, None] * (opacity / FULL)
    total = weight.sum(dim=axes, keepdim=True).clamp(min=SMALLEST_WEIGHT)
    mean = (image * weight).sum(dim=axes, keepdim=True) / total
    below = torch.where(hides > 0, mean, image)
    full = (span * paint[:, 4:]).view(*span.shape, *ones)
    return image + weight * (below + full * (contrast + texture * noise) - image)
