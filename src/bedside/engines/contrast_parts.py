"""Parts that contrast alone cuts out of an image as it cuts out the examples of a kind: nuclei, cells, lesions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.engines.contrast import SURROUNDINGS, contrast_maps, otsu_threshold

MOST_VOXELS = 2**22
"""Of an image; larger ones are not cut."""
LEAST_FIT = 0.5
"""Mean overlap (intersection over union) of the examples with the parts at their places, below which none is taken."""
ALIKE = 3.0
"""Times that a part may be larger or smaller than the examples."""
AROUND = 3.0
"""Diameters of the examples that count as their surroundings."""
NEAREST = 8
"""Middles, the nearest, among which a voxel's is looked for."""
LARGE = 1.5
"""Sizes of the examples from which a connected part may be several that touch."""
SMOOTH, APART, DEEP = 0.4, 1.4, 0.3
"""Of touching parts, in radii: how far depth is smoothed, how far their middles lie apart, and how deep they lie."""


def parts_like(image: Image, examples: Sequence[PackedMask]) -> tuple[float, list[PackedMask]]:
    """Return how well contrast cuts out the examples, and all that it cuts out of their size, the examples included.

    Of the maps of ``contrast.contrast_maps`` that one is taken whose parts fit the examples best. Parts that touch are
    divided at their waists.

    Args:
        image: The image or volume.
        examples: Masks of the examples, each with at least one voxel.

    Returns:
        Mean overlap of the examples with the parts at their places, 0 to 1, and the parts; none below ``LEAST_FIT``.
    """
    if math.prod(image.shape) > MOST_VOXELS:
        return 0.0, []
    spacing = np.array(image.geometry.array_spacing)
    sizes = np.array([mask.voxels for mask in examples], dtype=np.float64)
    size = float(np.exp(np.log(sizes).mean()))
    radius = usual_radius(size, spacing)
    samples = (np.moveaxis(image.array, -1, 0) if image.is_colour else image.array[None]).astype(np.float32)
    known = np.isfinite(samples).all(axis=0)
    if not known.any():
        return 0.0, []
    samples = np.where(known, samples, samples[:, known].min())
    side = int(SURROUNDINGS * AROUND * radius / float(spacing.min()))
    best, cut = 0.0, None
    for _, values in contrast_maps(samples, side):
        if values.min() == values.max():
            continue
        parts = divide(values > otsu_threshold(values), radius, spacing, LARGE * size)
        fit = float(np.mean([_fit(parts, mask) for mask in examples]))
        if fit > best:
            best, cut = fit, parts
    if cut is None or best < LEAST_FIT:
        return best, []
    counts = np.bincount(cut.ravel())
    found = []
    for number, place in enumerate(ndimage.find_objects(cut), start=1):
        if place is not None and size / ALIKE <= counts[number] <= size * ALIKE:
            part = ndimage.binary_fill_holes(cut[place] == number)
            region = Region(tuple(s.start for s in place), tuple(s.stop for s in place))
            found.append(PackedMask.of_patch(part.astype(np.uint8), region))
    return best, found


def usual_radius(voxels: float, spacing: NDArray[np.float64]) -> float:
    """Return the radius in mm of a disc or ball of so many voxels."""
    size = voxels * float(spacing.prod())
    return math.sqrt(size / math.pi) if len(spacing) == 2 else (size * 0.75 / math.pi) ** (1 / 3)


def divide(
    mask: NDArray[np.bool_], radius: float, spacing: NDArray[np.float64], whole: float = 0.0
) -> NDArray[np.int32]:
    """Return the parts of a mask, numbered from 1, those that touch divided where they are narrow.

    Each voxel belongs to the middle whose ball it lies deepest in: two balls that touch meet at their waist (a power
    diagram, Aurenhammer, SIAM Journal on Computing 1987).

    Args:
        mask: bool, any number of axes.
        radius: Of a usual part, in mm.
        spacing: Of the mask, in mm.
        whole: Voxels up to which a connected part is not divided.

    Returns:
        int32 of the mask's shape; 0 also in larger parts that are too thin to have a middle.
    """
    everywhere = np.ones((3,) * mask.ndim)
    connected, _ = ndimage.label(mask, everywhere)
    small = (np.bincount(connected.ravel()) <= whole)[connected] & mask
    whole_parts, first = ndimage.label(small, everywhere)
    mask = mask & ~small
    depth = ndimage.distance_transform_edt(mask, sampling=spacing)
    smooth = ndimage.gaussian_filter(depth, SMOOTH * radius / spacing)
    window = [max(1, round(APART * radius / s)) | 1 for s in spacing]
    peaks = (smooth == ndimage.maximum_filter(smooth, size=window)) & (depth > DEEP * radius)
    marks, count = ndimage.label(peaks, everywhere)
    parts: NDArray[np.int32] = whole_parts.astype(np.int32)
    if not count:
        return parts
    middles = np.array(ndimage.center_of_mass(peaks, marks, range(1, count + 1)))
    own = np.array(ndimage.maximum(connected, marks, range(1, count + 1)))
    depths = np.array(ndimage.maximum(depth, marks, range(1, count + 1)))
    places = np.argwhere(mask)
    nearest = min(NEAREST, count)
    found = cKDTree(middles * spacing).query(places * spacing, k=nearest)
    distance, number = (np.asarray(values).reshape(-1, nearest) for values in found)
    power = np.where(own[number] == connected[mask][:, None], distance**2 - depths[number] ** 2, np.inf)
    chosen = power.argmin(axis=1)
    rows = np.arange(len(places))
    parts[mask] = np.where(np.isfinite(power[rows, chosen]), first + 1 + number[rows, chosen], 0)
    return parts


def _fit(parts: NDArray[np.int32], mask: PackedMask) -> float:
    """Return the overlap of a mask with the part that it shares most with."""
    own = mask.patch() > 0
    counts = np.bincount(parts[mask.region.slices][own].ravel(), minlength=1)
    counts[0] = 0
    number = int(counts.argmax())
    if not counts[number]:
        return 0.0
    return float(counts[number] / (np.count_nonzero(parts == number) + np.count_nonzero(own) - counts[number]))
