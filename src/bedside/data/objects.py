"""What counts as one object in a label map, and which objects of a case are evaluated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import InputError
from bedside.core.region import Region, mask_region
from bedside.simulate.components import label_components

POPULATION_PARTS = 8
"""A label with more parts than this, none of them dominant, names many objects (nuclei, axons)."""
SMALLEST_PART = 10
"""Voxels that a part needs to count."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class ObjectReference:
    """Where one object lies in a label map, without its mask.

    Attributes:
        label: Its value in the label map.
        region: The smallest region that holds it.
        size: Its voxels.
        part: 0 where the object is every voxel with the value; otherwise the number, from 1, of a connected part.
        anchor: A voxel of that part, array order; None where the object is every voxel with the value.
    """

    label: int
    region: Region
    size: int
    part: int = 0
    anchor: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        """Unique within the case: "3", or "1.12" for the twelfth part of label 1."""
        return f"{self.label}.{self.part}" if self.part else f"{self.label}"

    def crop(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the object's mask within its region.

        Args:
            labels: The label map that the reference was made from.

        Returns:
            bool, of ``region``'s shape.
        """
        same: NDArray[np.bool_] = labels[self.region.slices] == self.label
        if self.anchor is None:
            return same
        parts, _ = label_components(same)
        inside = tuple(a - s for a, s in zip(self.anchor, self.region.start, strict=True))
        result: NDArray[np.bool_] = parts == parts[inside]
        return result

    def mask(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """Return the object's mask in the whole image, bool of the label map's shape."""
        whole = np.zeros(labels.shape, dtype=np.bool_)
        whole[self.region.slices] = self.crop(labels)
        return whole


def enumerate_objects(labels: NDArray[Any], label_kind: Literal["semantic", "instance"]) -> list[ObjectReference]:
    """Return every object of a label map, sorted by label value, then by part in scan order.

    An instance is an object with all its parts, and so is a semantic label, unless that label is a population:
    more than 8 connected parts of at least 10 voxels, none with half of the foreground. Then each such part is one.

    Args:
        labels: Unsigned integers (z, y, x) or (y, x), 0 = background.
        label_kind: Meaning of the values.

    Raises:
        InputError: The label map does not hold integers.
    """
    if labels.dtype.kind not in "ui":
        raise InputError("label map", expected="integers", got=f"dtype {labels.dtype}")
    sizes = np.bincount(labels.ravel())
    objects: list[ObjectReference] = []
    places: Sequence[tuple[slice, ...] | None] = ndimage.find_objects(labels)  # None for values that do not occur
    for label, slices in enumerate(places, start=1):
        if slices is None:
            continue
        region = Region(tuple(int(s.start) for s in slices), tuple(int(s.stop) for s in slices))
        members = _population(labels, label, region) if label_kind == "semantic" else []
        objects += members or [ObjectReference(label, region, int(sizes[label]))]
    return objects


def _population(labels: NDArray[Any], label: int, region: Region) -> list[ObjectReference]:
    """Return the parts of ``label`` as objects of their own; empty where it is no population."""
    parts, _ = label_components(labels[region.slices] == label)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    countable = np.flatnonzero(sizes >= SMALLEST_PART)
    if len(countable) <= POPULATION_PARTS or 2 * int(sizes.max()) >= int(sizes.sum()):
        return []
    boxes = ndimage.find_objects(parts)
    members = []
    for number, part in enumerate(countable.tolist(), start=1):
        box = Region(tuple(int(s.start) for s in boxes[part - 1]), tuple(int(s.stop) for s in boxes[part - 1]))
        first = np.unravel_index(int(np.argmax(parts[box.slices] == part)), box.shape)
        place = box.shift(region.start)
        anchor = tuple(int(f) + s for f, s in zip(first, place.start, strict=True))
        members.append(ObjectReference(label, place, int(sizes[part]), number, anchor))
    return members


def stable_generator(*parts: object) -> np.random.Generator:
    """Return a private generator whose seed depends on ``parts`` alone: equal on every machine and in every process."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def choose(items: Sequence[Item], limit: int, generator: np.random.Generator) -> list[Item]:
    """Return at most ``limit`` of ``items``, drawn without replacement and kept in their order."""
    if len(items) <= limit:
        return list(items)
    kept = np.sort(generator.choice(len(items), size=limit, replace=False))
    return [items[int(i)] for i in kept]


@dataclass(frozen=True)
class SliceReference:
    """A slice of a volume.

    Attributes:
        axis: Array axis that the slice is perpendicular to, 0 = z, 1 = y, 2 = x.
        index: Position along that axis.
    """

    axis: int
    index: int

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the slice as a view, with the other two axes in their order."""
        return array[(slice(None),) * self.axis + (self.index,)]

    def drop(self, values: Sequence[Item]) -> tuple[Item, ...]:
        """Return values of the two axes that remain, of one value per axis in array order."""
        return tuple(v for axis, v in enumerate(values) if axis != self.axis)


def coarsest_axis(array_spacing: Sequence[float]) -> int:
    """Return the array axis with the largest spacing, the first of equals: slices across it have the finest pixels."""
    return int(np.argmax(np.round(np.asarray(array_spacing, dtype=np.float64), 6)))


def largest_slice(
    labels: NDArray[Any], reference: ObjectReference, axis: int
) -> tuple[SliceReference, NDArray[np.bool_], Region]:
    """Return the slice across ``axis`` in which an object has the largest area.

    Returns:
        The slice, the object's mask in it (bool, cropped) and the region of the slice where that mask lies.
    """
    crop = reference.crop(labels)
    others = tuple(a for a in range(crop.ndim) if a != axis)
    inner = int(np.argmax(crop.sum(axis=others)))
    plane = SliceReference(axis, inner + reference.region.start[axis])
    mask = SliceReference(axis, inner).of(crop)
    tight = mask_region(mask)
    return plane, mask[tight.slices].copy(), tight.shift(plane.drop(reference.region.start))
