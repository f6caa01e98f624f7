"""Random strokes, as of someone who scribbles within a box without following anything in it.

After the sampler of random curves of SEEM, by which Swin-LiteMedSAM is trained and prompted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Scribble
from bedside.imaging.paint import paint_prompts

ATTEMPTS = 6
SMALLEST_STROKE = 5
"""Pixels that a stroke's largest part must exceed."""
VERTICES = (10, 30)
LARGEST_SPEED = 20.0
ACCELERATION, ACCELERATING = 15.0, 0.5
"""Largest change of speed between two vertices, and how often there is one."""
BRUSH = (3, 10)
Rectangle = tuple[int, int, int, int]
"""x0, y0, x1, y1 in whole pixels, the end exclusive."""


def stroke_within(
    allowed: NDArray[np.bool_], rectangle: Rectangle, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return a random stroke where it is allowed, 0 and 1; empty if all attempts leave too little of it.

    Args:
        allowed: (y, x), where the stroke may leave a trace.
        rectangle: Where the hand moves.
        generator: Source of randomness.
    """
    for _ in range(ATTEMPTS):
        drawn = (random_stroke(rectangle, allowed.shape, generator) > 0.5) & allowed
        labels, count = ndimage.label(drawn)
        if count and int(np.bincount(labels.ravel())[1:].max()) > SMALLEST_STROKE:
            return drawn.astype(np.float32)
    return np.zeros(allowed.shape, dtype=np.float32)


def random_stroke(rectangle: Rectangle, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a brush that starts anywhere in a rectangle and is pushed now and then, painted on a grid of ``shape``."""
    low, high = np.array(rectangle[:2], float), np.maximum(np.array(rectangle[2:], float) - 1, rectangle[:2])
    position = generator.uniform(low, high)
    angle = generator.uniform(0, 2 * np.pi)
    velocity = generator.uniform(0, LARGEST_SPEED) * np.array([np.cos(angle), np.sin(angle)])
    vertices = [position]
    for _ in range(int(generator.integers(*VERTICES, endpoint=True)) - 1):
        if generator.random() < ACCELERATING:
            angle = generator.uniform(0, 2 * np.pi)
            velocity = velocity + generator.uniform(0, ACCELERATION) * np.array([np.cos(angle), np.sin(angle)])
            velocity *= min(1.0, LARGEST_SPEED / max(float(np.linalg.norm(velocity)), 1e-6))
        position = np.clip(position + velocity, low, high)
        vertices.append(position)
    brush = float(generator.integers(*BRUSH, endpoint=True))
    line = Scribble(tuple((float(x), float(y)) for x, y in vertices), thickness=brush)
    painted: NDArray[np.float32] = paint_prompts([line], shape)[2]
    return painted
