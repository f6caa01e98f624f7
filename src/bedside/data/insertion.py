"""Shapes put into images: the background is real, the object drawn, so that its mask is exact.

From them a network learns what a box around a vessel tree or around a hundred lesions means, of which few data sets
have labels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.data.shapes import Shape, random_shape

EXTENTS = {"box": (0.35, 0.95), "wide": (0.2, 0.9), "close": (0.9, 2.0)}
"""Length of the shape in parts of the window, by how the sample starts."""
CONTRAST = (0.2, 0.8)
"""Difference to the background in parts of the window's range of intensities."""


def insert_shape(image: Tensor, mode: str, generator: np.random.Generator) -> tuple[Tensor, NDArray[np.uint8]]:
    """An image with a random shape drawn into it.

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
    span = (sparse.quantile(0.98, dim=1) - sparse.quantile(0.02, dim=1)).clamp(min=1e-3)
    for layer in (shape.coverage, shape.core):
        if not layer.any() or (layer is shape.core and generator.random() < 0.5):
            continue
        image = _paint(image, torch.from_numpy(layer), span, generator)
    return image


def _paint(image: Tensor, coverage: Tensor, span: Tensor, generator: np.random.Generator) -> Tensor:
    """Draw one layer: by a difference to what lies below, or as a tissue of its own that hides it."""
    channels = image.shape[0]
    ones = (channels,) + (1,) * (image.ndim - 1)
    tint = torch.tensor(generator.uniform(0.6, 1.0, size=channels), dtype=torch.float32)
    contrast = float(generator.uniform(*CONTRAST)) * (1.0 if generator.random() < 0.5 else -1.0)
    noise = torch.from_numpy(generator.standard_normal(tuple(image.shape[1:]), dtype=np.float32))
    texture = float(generator.uniform(0.0, 0.08)) * noise
    weight = coverage * float(generator.uniform(0.7, 1.0))
    below = image
    if generator.random() < 0.4:
        # The mean under the shape, so that its contrast is the drawn one and its texture hides what lies below.
        mean = (image * weight).flatten(1).sum(dim=1) / weight.sum().clamp(min=1e-3)
        below = mean.view(ones).expand_as(image)
    drawn = below + (span * tint).view(ones) * (contrast + texture)
    return image + weight * (drawn - image)
