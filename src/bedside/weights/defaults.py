"""Which model answers when none is named."""

from __future__ import annotations

from bedside.weights.store import installed_weights

IMAGES, VOLUMES = "bedside-2d", "bedside-3d"
"""Models for images and for volumes; the first takes volumes, too, slice by slice."""


def default_model(dimensions: int) -> str:
    """The model for images of 2 or of 3 axes: the one for volumes where its weights are there.

    Args:
        dimensions: Axes of the image, colour not counted.
    """
    return VOLUMES if dimensions == 3 and installed_weights(VOLUMES) is not None else IMAGES
