"""Shapes put into images: the background is real, the object drawn, so that its mask is exact.

From them a network learns what a box around a vessel tree or around a hundred lesions means, of which few datasets
have labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.shapes import Shape, random_shape

EXTENTS = {"box": (0.35, 0.95), "wide": (0.2, 0.9), "close": (0.9, 2.0)}
"""Length of the shape in parts of the window, by how the sample starts."""
CONTRAST = (0.2, 0.8)
"""Difference to the background in parts of the window's range of intensities."""
TINT = (0.6, 1.0)
"""Part of the difference that a channel takes."""
TEXTURE = (0.0, 0.08)
"""Standard deviation of the shape's texture in parts of the same range."""
OPACITY = (0.7, 1.0)
HIDING_SHARE = 0.4
"""Share of layers that are tissues of their own and hide what lies below."""
CORE_SHARE = 0.5
"""Share of shells whose inside is painted, too."""
RANGE_RANKS = (0.02, 0.98)
"""Quantiles between which a window's range of intensities lies."""
SMALLEST_RANGE = 1e-3
SMALLEST_WEIGHT = 1e-3
"""Below which a layer's weight over all cells counts as this, so that no mean is taken of nothing."""


@dataclass(frozen=True)
class Paint:
    """How one layer of a shape is painted.

    Attributes:
        tint: One number for each channel, see ``TINT``.
        contrast: See ``CONTRAST``, with a sign.
        texture: See ``TEXTURE``.
        opacity: See ``OPACITY``.
        hides: Whether it is a tissue of its own that hides what lies below.
    """

    tint: tuple[float, ...]
    contrast: float
    texture: float
    opacity: float
    hides: bool


def insert_shape(image: Tensor, mode: str, generator: np.random.Generator) -> tuple[Tensor, NDArray[np.uint8]]:
    """Return an image with a random shape drawn into it.

    Args:
        image: float32 (channels, grid, grid[, grid]), any range.
        mode: How the sample starts, a key of ``EXTENTS``.
        generator: Source of randomness.

    Returns:
        The image, float32 of the same shape, and the object, uint8 0/1 of its grid.
    """
    axes = image.ndim - 1
    shape = random_shape(image.shape[-1], axes, float(generator.uniform(*EXTENTS[mode])), generator)
    return _draw(image, shape, generator), (shape.object > 0.5).astype(np.uint8)


def _draw(image: Tensor, shape: Shape, generator: np.random.Generator) -> Tensor:
    sparse = image.flatten(1)[:, ::3]
    low, high = (sparse.quantile(rank, dim=1) for rank in RANGE_RANKS)
    span = (high - low).clamp(min=SMALLEST_RANGE)
    for layer in (shape.coverage, shape.core):
        if not layer.any() or (layer is shape.core and generator.random() < 1 - CORE_SHARE):
            continue
        paint, noise = _draw_paint(image.shape, generator)
        image = paint_layer(image, torch.from_numpy(layer), span, paint, noise)
    return image


def _draw_paint(shape: tuple[int, ...], generator: np.random.Generator) -> tuple[Paint, Tensor]:
    """Return the paint of a layer in an image of a shape (channels, ...), and the noise of its texture (...)."""
    tint = tuple(generator.uniform(*TINT, size=shape[0]).tolist())
    contrast = float(generator.uniform(*CONTRAST)) * (1.0 if generator.random() < 0.5 else -1.0)
    noise = torch.from_numpy(generator.standard_normal(tuple(shape[1:]), dtype=np.float32))
    texture, opacity = float(generator.uniform(*TEXTURE)), float(generator.uniform(*OPACITY))
    return Paint(tint, contrast, texture, opacity, bool(generator.random() < HIDING_SHARE)), noise


def paint_layer(image: Tensor, coverage: Tensor, span: Tensor, paint: Paint, noise: Tensor) -> Tensor:
    """Return an image with one layer drawn: by a difference to what lies below, or as a tissue of its own that hides
    it.

    Args:
        image: float32 (channels, *grid).
        coverage: float32 (*grid), 0 to 1.
        span: float32 (channels,), the image's range of intensities.
        paint: How.
        noise: float32 (*grid), of the standard normal distribution.
    """
    ones = (image.shape[0],) + (1,) * (image.ndim - 1)
    tint = torch.tensor(paint.tint, dtype=torch.float32)
    weight = coverage * paint.opacity
    below = image
    if paint.hides:
        # The mean under the shape, so that its contrast is the drawn one and its texture hides what lies below.
        mean = (image * weight).flatten(1).sum(dim=1) / weight.sum().clamp(min=SMALLEST_WEIGHT)
        below = mean.view(ones).expand_as(image)
    drawn = below + (span * tint).view(ones) * (paint.contrast + paint.texture * noise)
    return image + weight * (drawn - image)
