"""Which model predicts when none is named."""

from __future__ import annotations

from collections.abc import Sequence

from bedside.weights.store import installed_weights

IMAGES, VOLUMES = "bedside-2d", "bedside-3d"
"""Models for images and for volumes; the first takes volumes, too, slice by slice."""
LEAST_SLICES = 4
"""Slices from which on a volume is predicted whole: fewer are images that a file holds as a volume."""


def volume_model() -> str:
    """Return the model for volumes: the one made for them where its weights are there."""
    return VOLUMES if installed_weights(VOLUMES) is not None else IMAGES


def default_model(shape: Sequence[int]) -> str:
    """Return the model for an image.

    Args:
        shape: Spatial shape, (y, x) or (z, y, x).
    """
    return volume_model() if len(shape) == 3 and min(shape) >= LEAST_SLICES else IMAGES
