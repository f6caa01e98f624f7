"""Cases made ready for evaluation: images as segmenters take them, with the objects to be found in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.region import Region
from bedside.data.catalogue import Case, DataSet, LabelledImage
from bedside.data.objects import (
    ObjectReference,
    SliceReference,
    choose,
    coarsest_axis,
    enumerate_objects,
    largest_slice,
    stable_generator,
)

VolumeMode = Literal["slices", "whole"]
"""Whether an object of a volume is evaluated in its largest slice, as a 2D image, or as a whole."""
SliceAxis = Literal["auto", "x", "y", "z"]
"""Axis that slices are perpendicular to; auto takes the one with the largest spacing."""


@dataclass(frozen=True)
class ObjectSelection:
    """Which objects of a case are evaluated.

    Attributes:
        limit: Most objects of a case; more are sampled, always the same ones.
        smallest: Voxels (pixels in a slice) that an object needs.
        volumes: How volumes are evaluated.
        slice_axis: Axis across which volumes are sliced.
    """

    limit: int = 10
    smallest: int = 10
    volumes: VolumeMode = "slices"
    slice_axis: SliceAxis = "auto"

    def __post_init__(self) -> None:
        if self.limit < 1 or self.smallest < 1:
            raise InputError("objects", expected="at least one object of at least one voxel", got=self)


@dataclass(frozen=True, eq=False)
class TargetObject:
    """An object to be found in an image.

    Attributes:
        name: Unique within the case: label, part and slice.
        label: Value in the label map.
        region: The smallest region of the image that holds it.
        mask: bool, of ``region``'s shape.
    """

    name: str
    label: int
    region: Region
    mask: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """Voxels of the object."""
        return int(np.count_nonzero(self.mask))

    def within(self, region: Region) -> NDArray[np.bool_]:
        """Return the object's mask in a region that holds all of it."""
        result = np.zeros(region.shape, dtype=np.bool_)
        result[self.region.shift(tuple(-s for s in region.start)).slices] = self.mask
        return result


@dataclass(frozen=True, eq=False)
class View:
    """An image as a segmenter sees it, a whole one or a slice of a volume, with objects in it."""

    image: Image
    objects: tuple[TargetObject, ...]


@dataclass(frozen=True, eq=False)
class EvaluationCase:
    """A case made ready.

    Attributes:
        tiny: Objects that are too small to evaluate.
        left_out: Objects beyond the limit.
    """

    set_name: str
    case_id: str
    views: tuple[View, ...]
    tiny: int
    left_out: int


def prepare_case(data_set: DataSet, case: Case, selection: ObjectSelection) -> EvaluationCase:
    """Read a case and choose its objects; the choice depends on set, case and ``selection`` only."""
    loaded = case.load()
    references = enumerate_objects(loaded.labels, data_set.label_kind)
    large = [r for r in references if r.size >= selection.smallest]
    generator = stable_generator("objects", data_set.name, case.id)
    if loaded.image.ndim == 3 and selection.volumes == "slices":
        views, usable = _slice_views(loaded, large, selection, generator)
    else:
        usable = len(large)
        views = _whole_view(loaded, choose(large, selection.limit, generator))
    chosen = sum(len(view.objects) for view in views)
    return EvaluationCase(data_set.name, case.id, views, tiny=len(references) - usable, left_out=usable - chosen)


def _whole_view(loaded: LabelledImage, references: Sequence[ObjectReference]) -> tuple[View, ...]:
    objects = tuple(TargetObject(r.name, r.label, r.region, r.crop(loaded.labels)) for r in references)
    return (View(loaded.image, objects),) if objects else ()


def _slice_views(
    loaded: LabelledImage,
    references: Sequence[ObjectReference],
    selection: ObjectSelection,
    generator: np.random.Generator,
) -> tuple[tuple[View, ...], int]:
    """Return one view per slice that is the largest of a chosen object, and how many objects were large enough."""
    spacing = loaded.image.geometry.array_spacing
    axis = coarsest_axis(spacing) if selection.slice_axis == "auto" else "zyx".index(selection.slice_axis)
    found: list[tuple[SliceReference, TargetObject]] = []
    for reference in references:
        plane, mask, region = largest_slice(loaded.labels, reference, axis)
        if np.count_nonzero(mask) >= selection.smallest:
            name = f"{reference.name}@{'zyx'[axis]}{plane.index}"
            found.append((plane, TargetObject(name, reference.label, region, mask)))
    chosen = choose(found, selection.limit, generator)
    planes = sorted({plane for plane, _ in chosen}, key=lambda plane: plane.index)
    views = [View(slice_image(loaded.image, p), tuple(o for q, o in chosen if q == p)) for p in planes]
    return tuple(views), len(found)


def slice_image(volume: Image, plane: SliceReference) -> Image:
    """Return a slice of a volume as a 2D image with the spacing of the two axes that it keeps."""
    geometry = volume.geometry
    array: NDArray[Any] = np.ascontiguousarray(plane.of(volume.array))
    spacing = plane.drop(geometry.array_spacing)[::-1] if geometry.spacing_known else None
    return Image(array, Geometry.create(array.shape, spacing), modality=volume.modality, source=volume.source)
