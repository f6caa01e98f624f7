"""Surfaces of masks by marching cubes (Lorensen & Cline 1987, as scikit-image has them)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import DependencyError, InputError
from bedside.core.geometry import Geometry
from bedside.core.region import Region
from bedside.core.surface import Surface

REACH = 4.0
"""Standard deviations of the smoothing that are kept around a mask."""
MOST_SMOOTH = 100.0
"""Smoothing in mm at most."""


def mask_surface(patch: NDArray[Any], region: Region, geometry: Geometry, smooth: float = 0.0) -> Surface:
    """Return the surface of a mask, closed at the border of the image, too.

    Args:
        patch: (z, y, x), not 0 where the object is; the voxels of ``region``.
        region: Where it lies on the grid.
        geometry: The grid.
        smooth: Standard deviation in mm of a Gaussian that rounds the steps of the voxels off; 0 for none. What is
            thinner shrinks or goes.

    Raises:
        InputError: The mask has two axes or no voxel, or nothing is left of it, or ``smooth`` is out of range.
        DependencyError: scikit-image is not installed.

    Example:
        >>> cube = np.ones((4, 4, 4))
        >>> surface = mask_surface(cube, Region.whole((4, 4, 4)), Geometry.create((4, 4, 4), (2.0, 2.0, 2.0)))
        >>> 0.8 < surface.volume / 512 < 1
        True
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        fix = "install it with: pip install 'bedside[evaluate]'"
        raise DependencyError("surfaces need scikit-image", fix=fix) from error
    if patch.ndim != 3:
        raise InputError("surface", expected="a mask with three axes", got=f"one with {patch.ndim}")
    if not 0 <= smooth <= MOST_SMOOTH:
        raise InputError("smoothing of a surface", expected=f"from 0 to {MOST_SMOOTH:g} mm", got=smooth)
    if not np.any(patch):
        raise InputError("surface", expected="a mask with a voxel", got="an empty one")
    sigma = [smooth / side for side in geometry.array_spacing]
    margins = [1 + int(np.ceil(REACH * s)) for s in sigma]
    field = np.pad((np.asarray(patch) != 0).astype(np.float32), [(m, m) for m in margins])
    if smooth > 0:
        field = np.asarray(ndimage.gaussian_filter(field, sigma, mode="constant", truncate=REACH))
    if field.max() <= 0.5:
        raise InputError("smoothing of a surface", expected="less than the object is thick", got=f"{smooth:g} mm")
    places, faces, _, _ = marching_cubes(field, 0.5, allow_degenerate=False)
    index = np.asarray(places, np.float64) + np.array(region.start) - margins
    surface = Surface(geometry.index_to_world(index[:, ::-1]), np.asarray(faces, np.int64))
    # Outwards, whichever way the grid's axes turn.
    return surface if surface.volume >= 0 else Surface(surface.vertices, surface.faces[:, ::-1].copy())
