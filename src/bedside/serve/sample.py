"""A volume to try things on: drawn by a formula, like a CT of a belly and of nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.core.disk import told
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import write_image

SHAPE = (56, 160, 192)
SPACING = (1.8, 1.8, 4.0)
NAME = "sample-volume.nii.gz"
_AIR, _FAT, _SEED = -1000.0, -95.0, 20

# Centre and half axes as shares of the shape, (z, y, x), and Hounsfield units; later ones lie on top of earlier ones.
_BODIES = (
    ((0.50, 0.52, 0.50), (2.00, 0.42, 0.44), _FAT),
    ((0.50, 0.51, 0.50), (2.00, 0.36, 0.38), 45.0),
    ((0.56, 0.44, 0.31), (0.36, 0.23, 0.17), 112.0),
    ((0.60, 0.40, 0.28), (0.10, 0.07, 0.05), 52.0),
    ((0.62, 0.45, 0.72), (0.24, 0.12, 0.09), 122.0),
    ((0.40, 0.60, 0.34), (0.24, 0.08, 0.06), 185.0),
    ((0.42, 0.60, 0.66), (0.24, 0.08, 0.06), 185.0),
    ((0.50, 0.57, 0.52), (2.00, 0.04, 0.03), 230.0),
    ((0.50, 0.71, 0.50), (2.00, 0.09, 0.07), 420.0),
    ((0.48, 0.33, 0.55), (0.30, 0.10, 0.12), 8.0),
)


def sample_volume() -> Image:
    """Return the volume: int16 Hounsfield units (z, y, x), the same every time."""
    from scipy import ndimage

    array = np.full(SHAPE, _AIR, dtype=np.float32)
    axes = np.ogrid[tuple(slice(0, 1, complex(n)) for n in SHAPE)]
    for centre, half, value in _BODIES:
        distance = sum(((a - c) / h) ** 2 for a, c, h in zip(axes, centre, half, strict=True))
        array[distance <= 1] = value
    # A scanner blurs what it sees and adds noise to it.
    smooth = ndimage.gaussian_filter(array, (0.5, 0.8, 0.8))
    noise: NDArray[np.float64] = np.random.default_rng(_SEED).normal(0, 14, SHAPE)
    hounsfield = np.clip(smooth + ndimage.gaussian_filter(noise, (0, 0.6, 0.6)), -1024, 3071)
    origin = tuple(-(n - 1) / 2 * s for n, s in zip(SHAPE[::-1], SPACING, strict=True))
    return Image(np.rint(hounsfield).astype(np.int16), Geometry.create(SHAPE, SPACING, origin), modality="CT")


def write_sample(folder: Path) -> Path:
    """Write the volume into a folder, once; returns the file."""
    path = folder / NAME
    if not path.is_file():
        with told(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_image(path, sample_volume())
    return path
