"""Augmentation of whole slices on a network's grid, for the SAM family: drawn first and applied second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SHIFT, SCALE, ANGLE = 0.0625, 0.2, 90.0
"""Largest shift in parts of the side, change of scale, and turn in degrees, of MedficientSAM's training."""
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.4, 0.5, 0.4, 0.2
"""Largest changes of appearance, of Rep-MedSAM's training."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)[:, None, None]

Flip = int
"""0 none, 1 left and right exchanged, 2 top and bottom, 3 both."""


@dataclass(frozen=True)
class Turn:
    """A shift, scaling and rotation about the grid's centre.

    Attributes:
        shift: (y, x), in parts of the side.
        scale: Above 1 enlarges.
        angle: In radians.
    """

    shift: tuple[float, float]
    scale: float
    angle: float


def draw_flip(chance: float, generator: np.random.Generator) -> Flip:
    """Draw which axes are mirrored, each with the given chance."""
    horizontal, vertical = generator.random(2) < chance
    return int(horizontal) + 2 * int(vertical)


def apply_flip(array: NDArray[Any], flip: Flip) -> NDArray[Any]:
    """Return an array (..., y, x), exchanged as ``flip`` says; a view."""
    if flip & 1:
        array = array[..., ::-1]
    return array[..., ::-1, :] if flip & 2 else array


def draw_turn(generator: np.random.Generator) -> Turn:
    """Return a random shift, scaling and rotation."""
    dy, dx = generator.uniform(-SHIFT, SHIFT, size=2)
    scale = 1 + generator.uniform(-SCALE, SCALE)
    return Turn((float(dy), float(dx)), float(scale), float(np.deg2rad(generator.uniform(-ANGLE, ANGLE))))


def apply_turn(array: NDArray[np.float32], turn: Turn, *, smooth: bool) -> NDArray[np.float32]:
    """Return an array (..., y, x) after a turn; zeros come in from outside.

    Args:
        array: Square in its last two axes.
        turn: What to do.
        smooth: Interpolate linearly, for images; else take the nearest, for masks.
    """
    side = array.shape[-1]
    cos, sin = np.cos(turn.angle), np.sin(turn.angle)
    # What scipy wants is the way back: from a cell of the result to its place in the source.
    matrix = np.array([[cos, sin], [-sin, cos]]) / turn.scale
    centre = np.array([(side - 1) / 2, (side - 1) / 2])
    offset = centre - matrix @ (centre + np.array(turn.shift) * side)
    planes = array.reshape(-1, side, side)
    turned = [ndimage.affine_transform(plane, matrix, offset, order=1 if smooth else 0) for plane in planes]
    return np.stack(turned).reshape(array.shape).astype(np.float32, copy=False)


def jitter_colours(image: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Change brightness, contrast, saturation and hue at random, in that order.

    Args:
        image: (3, y, x), 0 to 1.
        generator: Source of randomness.

    Returns:
        The same shape and range.
    """
    factors = [1 + generator.uniform(-s, s) for s in (BRIGHTNESS, CONTRAST, SATURATION)]
    angle = 2 * np.pi * generator.uniform(-HUE, HUE)
    image = np.clip(image * np.float32(factors[0]), 0, 1)
    mean = np.float32((image * LUMA).sum(axis=0).mean())
    image = np.clip(mean + (image - mean) * np.float32(factors[1]), 0, 1)
    grey = (image * LUMA).sum(axis=0, keepdims=True)
    image = np.clip(grey + (image - grey) * np.float32(factors[2]), 0, 1)
    rotated = np.tensordot(_hue_rotation(angle), image, axes=1)
    return np.clip(rotated, 0, 1).astype(np.float32, copy=False)


def _hue_rotation(angle: float) -> NDArray[np.float32]:
    """Return the rotation of colours about the axis of greys, which leaves greys as they are (Rodrigues)."""
    cos, sin = np.cos(angle), np.sin(angle)
    along = np.full((3, 3), (1 - cos) / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * (sin / np.sqrt(3))
    return np.asarray(np.eye(3) * cos + along + cross, dtype=np.float32)
