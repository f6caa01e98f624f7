"""What is measured of objects: voxels, volume, longest diameter, intensities, SUV; as rows of a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.no_data import absent
from bedside.io.dicom.suv import PetUnits, pet_units
from bedside.worklist.entries import Drawn, Entry

PERCENTILES = (5, 25, 50, 75, 95)
COLUMNS = (
    *("image", "case", "object", "label", "name", "voxels", "volume_ml", "area_mm2", "longest_diameter_mm"),
    *("intensity_unit", "mean", "std", "min", *(f"p{p}" for p in PERCENTILES), "max", "suv_bw_mean", "suv_bw_max"),
)
"""Names of the columns; cells of what is not known are empty."""


def rows_of(entry: Entry) -> list[list[object]]:
    """Return a row for each object of an image, in the order of ``COLUMNS``.

    Volume is of volumes and area of pictures, both and the diameter only where the file states the spacing. The
    intensities are the samples as read (CT: Hounsfield units); samples that are no measurement do not count, and
    pictures in colour have none. SUV by body weight where the headers of the PET tell all that it takes.
    """
    pet = pet_units(entry.image)
    return [_row(entry, drawn, pet) for drawn in entry.objects]


def _row(entry: Entry, drawn: Drawn, pet: PetUnits | None) -> list[object]:
    image, mask = entry.image, drawn.mask
    found: dict[str, object] = {
        "image": str(entry.outline.path),
        "case": entry.outline.case,
        "object": drawn.id,
        "label": drawn.label,
        "name": drawn.name,
        "voxels": mask.voxels,
    }
    geometry = image.geometry
    if geometry.spacing_known:
        size = mask.voxels * math.prod(geometry.spacing)
        found["volume_ml" if image.ndim == 3 else "area_mm2"] = size / 1000 if image.ndim == 3 else size
        found["longest_diameter_mm"] = longest_diameter(mask, geometry)
    found |= _intensities(image, mask, pet)
    return [_shown(found.get(name, "")) for name in COLUMNS]


def _intensities(image: Image, mask: PackedMask, pet: PetUnits | None) -> dict[str, object]:
    if mask.region.is_empty or image.is_colour:
        return {}
    values = image.array[mask.region.slices][mask.patch() > 0]
    missing = absent(values, image.no_data)
    if missing is not None:
        values = values[~missing]
    if not values.size:
        return {}
    exact = values.astype(np.float64)
    found: dict[str, object] = {
        "intensity_unit": pet.unit if pet else "HU" if image.modality == "CT" else "",
        "mean": exact.mean(),
        "std": exact.std(),
        "min": exact.min(),
        "max": exact.max(),
    }
    found |= {f"p{p}": v for p, v in zip(PERCENTILES, np.percentile(exact, PERCENTILES), strict=True)}
    if pet is not None and pet.suv_bw is not None:
        found |= {"suv_bw_mean": exact.mean() * pet.suv_bw, "suv_bw_max": exact.max() * pet.suv_bw}
    return found


def longest_diameter(mask: PackedMask, geometry: Geometry) -> float:
    """Return the largest distance in mm between two places on a mask's border; 0 for an empty mask.

    Border places are the middles of the faces of its voxels, so that a row of ten voxels of 1 mm is 10 mm long.
    """
    patch = mask.patch()
    if not patch.any():
        return 0.0
    spacing = np.array(geometry.array_spacing)
    ends = _ends_of_rows(patch > 0)
    points = []
    for axis in range(patch.ndim):
        for side in (-0.5, 0.5):
            moved = ends.copy()
            moved[:, axis] += side
            points.append(moved)
    return _widest(np.unique(np.concatenate(points), axis=0) * spacing)


def _ends_of_rows(patch: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return indices of the first and last voxel of each run along the last axis: the hull has no other corners."""
    padded = np.pad(patch, [(0, 0)] * (patch.ndim - 1) + [(1, 1)])
    steps = np.diff(padded.astype(np.int8), axis=-1)
    starts, stops = np.argwhere(steps == 1), np.argwhere(steps == -1)
    stops[:, -1] -= 1
    return np.unique(np.concatenate([starts, stops]), axis=0).astype(np.float64)


def _widest(points: NDArray[np.float64]) -> float:
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    # The faces of a single voxel already span all axes, so that there always is a hull.
    return float(pdist(points[ConvexHull(points).vertices]).max())


def _shown(value: object) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
