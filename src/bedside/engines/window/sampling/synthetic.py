"""Synthetic images and volumes: random shapes with random textures.

From them a network learns what prompts mean and not what organs look like (after SynthMorph's shapes, Hoffmann et al.,
IEEE TMI 2022).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.appearance import blur
from bedside.simulate.components import label_components

LARGEST_SHARE = 0.35
"""Largest share of the grid that an object may fill."""
LEAST_CONTRAST = 0.12
INTERPOLATION = {2: "bilinear", 3: "trilinear"}


def synthetic_window(shape: tuple[int, ...], generator: np.random.Generator) -> tuple[Tensor, NDArray[np.uint8]] | None:
    """Return a random image and an object in it.

    Args:
        shape: Channels, then the cells along each of two or three axes, which are equal.
        generator: Source of randomness.

    Returns:
        float32 image (channels, *grid) and uint8 0/1 object (*grid), or None where the drawn object is of no use.
    """
    channels, grid, axes = shape[0], shape[-1], len(shape) - 1
    labels = random_regions(grid, axes, generator)
    count = int(labels.max()) + 1
    if generator.random() < 0.3:
        tube = random_tube(grid, axes, generator)
        labels[tube] = count
        # A tube that leaves the grid may come back as a second piece, which no prompt on the first could mean.
        parts, _ = label_components(tube)
        truth, target = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax()), count
    else:
        seed = tuple(generator.integers(grid // 8, grid - grid // 8, size=axes))
        target = int(labels[seed])
        parts, _ = label_components(labels == target)
        truth = parts == parts[seed]
    if not 20 <= np.count_nonzero(truth) <= LARGEST_SHARE * truth.size:
        return None
    means = generator.uniform(0, 1, size=(count + 1, channels)).astype(np.float32)
    close = np.abs(means - means[target]).max(axis=1) < LEAST_CONTRAST
    close[target] = False
    means[close] += np.where(means[close] > 0.5, -0.3, 0.3)
    texture = _texture(labels, count + 1, generator)
    image = torch.from_numpy(np.moveaxis(means[labels], -1, 0) + texture)
    sigma = generator.uniform(0.4, 1.0)
    return _blur(image, sigma), truth.astype(np.uint8)


def random_regions(grid: int, axes: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return a partition of a grid of two or three axes into smooth regions, numbered from 0."""
    count = int(generator.integers(3, 9))
    total = torch.zeros((count, *(grid,) * axes))
    for weight in (1.0, 0.4):
        knots = generator.integers(3, 9, size=axes) if weight == 1.0 else np.full(axes, 10)
        coarse = torch.from_numpy(generator.standard_normal((1, count, *knots), dtype=np.float32))
        total += weight * F.interpolate(coarse, (grid,) * axes, mode=INTERPOLATION[axes], align_corners=True)[0]
    regions: NDArray[np.int64] = total.argmax(dim=0).numpy()
    return regions


def random_tube(grid: int, axes: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return a winding tube through a grid of two or three axes, as vessels and nerves are."""
    ends = generator.uniform(0.1, 0.9, size=(2, axes))
    shares = np.linspace(0, 1, 9)[:, None]
    bend = generator.standard_normal((1, axes)) * generator.uniform(0, 0.2)
    path = (ends[0] * (1 - shares) + ends[1] * shares + np.sin(shares * np.pi) * bend) * grid
    radius = generator.uniform(1.2, max(1.5, 0.08 * grid))
    axis = np.arange(grid, dtype=np.float32) + 0.5
    cells = np.stack(np.meshgrid(*[axis] * axes, indexing="ij"), axis=-1)
    nearest = np.full((grid,) * axes, np.inf, dtype=np.float32)
    for start, stop in pairwise(path):
        along = (stop - start).astype(np.float32)
        offset = cells - start.astype(np.float32)
        share = np.clip(offset @ along / max(float(along @ along), 1e-6), 0, 1)
        nearest = np.minimum(nearest, ((offset - share[..., None] * along) ** 2).sum(axis=-1))
    inside: NDArray[np.bool_] = nearest < radius**2
    return inside


def _texture(labels: NDArray[np.int64], count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    noise = torch.from_numpy(generator.standard_normal(labels.shape, dtype=np.float32))
    if generator.random() < 0.5:
        noise = noise + 3 * _blur(noise[None], 1.2)[0]
    strength = generator.uniform(0.0, 0.12, size=count).astype(np.float32)
    texture: NDArray[np.float32] = strength[labels] * noise.numpy()
    return texture


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Return (channels, *grid) after a Gaussian of ``sigma`` cells along each axis."""
    return blur(image[None], torch.tensor([sigma], dtype=torch.float32), "replicate", max(1, round(2 * sigma)))[0]
