"""Volumes from images: an image and the object in it, continued along a third axis.

Labelled images are of many more kinds than labelled volumes. A slice scaled about the object's centre by a profile, and
drifting, makes bodies with rounded ends or winding tubes of the same appearance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.plane_windows import sample_plane

LARGEST_SCALE = 2.5
"""At a body's ends the slice has shrunk to this part before the body is over."""


@dataclass(frozen=True, eq=False)
class Profile:
    """How a slice changes along the third axis; heights are in parts of the object's extent, 0 in the middle.

    Attributes:
        half_height: Where the body ends; infinite for a tube.
        drift: (y, x) by which the centre moves per unit of height, in parts of the extent.
        waves: Logarithm of the scale at heights from -3 to 3, evenly spaced.
    """

    half_height: float
    drift: tuple[float, float]
    waves: NDArray[np.float32]


def draw_profile(generator: np.random.Generator) -> Profile:
    """Return a random body (two in three) or tube."""
    tube = generator.random() < 0.33
    waves = generator.normal(0, 0.25 if tube else 0.1, size=9).astype(np.float32)
    drift = generator.normal(0, 0.5 if tube else 0.2, size=2)
    half_height = np.inf if tube else float(np.exp(generator.uniform(np.log(0.2), np.log(1.2))))
    return Profile(half_height, (float(drift[0]), float(drift[1])), waves)


def extrude(
    plane: NDArray[Any],
    mask: NDArray[np.bool_],
    centre: tuple[float, float],
    extent: tuple[float, float],
    unit: Tensor,
    profile: Profile,
) -> tuple[Tensor, Tensor, NDArray[np.bool_]]:
    """Sample the continued image.

    Args:
        plane: (y, x) grey image.
        mask: (y, x) object.
        centre: Centre of the object, (y, x) in pixel edge coordinates.
        extent: The object's longest side in pixels of each axis, (y, x).
        unit: (grid, grid, grid, 3), height and place in the slice in parts of the extent, 0 in the object's middle.
        profile: How the slice changes.

    Returns:
        float32 image and object (0 to 1), and a bool that is False beyond the image, all (grid, grid, grid).
    """
    grid = unit.shape[0]
    height = unit[..., 0]
    waves = torch.from_numpy(profile.waves)[None, None, None]
    steady = F.grid_sample(
        waves,
        torch.stack([(height / 3).clamp(-1, 1), torch.zeros_like(height)], dim=-1).reshape(1, 1, -1, 2),
        align_corners=True,
        padding_mode="border",
    ).reshape(height.shape)
    scale = steady.exp()
    body = torch.ones_like(height, dtype=torch.bool)
    if np.isfinite(profile.half_height):
        share = (height / profile.half_height) ** 2
        scale = scale / (1 - share).clamp(min=LARGEST_SCALE**-2).sqrt()
        body = share < 1
    place = unit[..., 1:] - height[..., None].clamp(-3, 3) * torch.tensor(profile.drift, dtype=torch.float32)
    # Beyond its ends the body gives way to what lies beside it in the image.
    beside = torch.where(body, 0.0, 1.5)[..., None]
    place = place * scale[..., None] + beside
    pixels = place * torch.tensor(extent, dtype=torch.float32) + torch.tensor(centre, dtype=torch.float32)
    flat = pixels.reshape(grid, grid * grid, 2)
    size = torch.tensor(plane.shape[:2], dtype=torch.float32)
    inside = ((flat >= 0) & (flat <= size)).all(dim=-1).reshape(height.shape)
    cell = float((unit[1, 0, 0] - unit[0, 0, 0]).norm()) * float(np.sqrt(extent[0] * extent[1]))
    image = sample_plane(plane, flat, cell).reshape(height.shape)
    truth = sample_plane(mask, flat, cell, zeros=True).reshape(height.shape) * body
    return image, truth, inside.numpy()
