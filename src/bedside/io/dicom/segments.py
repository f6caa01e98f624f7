"""Segments: named objects on one grid, as SEG, RTSTRUCT and label maps hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.labels import OverlapPolicy
from bedside.core.region import Region, mask_region
from bedside.io.dicom.codes import PropertyCodes, property_codes

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]


@dataclass(frozen=True)
class Algorithm:
    """What made a segment.

    Attributes:
        name: Of the algorithm or model.
        version: Of it.
        type: How much a person had to do with it.
    """

    name: str
    version: str
    type: AlgorithmType = "SEMIAUTOMATIC"


@dataclass(frozen=True, eq=False)
class Segment:
    """One object: what it is called and which voxels it has.

    Attributes:
        label: Its number in a label map, from 1.
        name: For people.
        patch: uint8 0 and 1, (z, y, x) or (y, x), the voxels of ``region``; an empty segment has an empty one.
        region: Where ``patch`` lies on the grid.
        codes: What it is; by the table of ``codes.property_codes`` where left out.
        colour: "#rrggbb", or None.
        tracking_id: The user's name for the same thing in other studies; None for the segment's name.
        tracking_uid: UID of the same thing in other studies; None for a new one.
        algorithm: What made it, None where unknown.
        roi_type: RT ROI Interpreted Type (ORGAN, GTV, ...); None to conclude it from name and codes.
    """

    label: int
    name: str
    patch: NDArray[np.uint8]
    region: Region
    codes: PropertyCodes | None = None
    colour: str | None = None
    tracking_id: str | None = None
    tracking_uid: str | None = None
    algorithm: Algorithm | None = None
    roi_type: str | None = None

    @classmethod
    def of_mask(cls, label: int, name: str, mask: NDArray[Any], **facts: Any) -> Segment:
        """The segment of the voxels of ``mask``, on the whole grid, that are not zero; ``facts`` as the attributes."""
        region = mask_region(mask)
        return cls(label, name, (mask[region.slices] != 0).astype(np.uint8), region, **facts)

    @property
    def coded(self) -> PropertyCodes:
        """Its codes, given or by its name."""
        return self.codes or property_codes(self.name)

    @property
    def is_empty(self) -> bool:
        """Whether it has no voxel."""
        return not self.patch.any()

    def slices(self) -> Iterator[tuple[int, tuple[slice, slice], NDArray[np.uint8]]]:
        """Each slice with a voxel: its index, the rows and columns that the samples cover, and the samples (y, x)."""
        patch, region = (self.patch[None], self.region) if self.patch.ndim == 2 else (self.patch, self.region)
        first = 0 if self.patch.ndim == 2 else region.start[0]
        for z, samples in enumerate(patch, start=first):
            if samples.any():
                yield z, (region.slices[-2], region.slices[-1]), samples

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """uint8 0 and 1 on a grid of ``shape``."""
        mask = np.zeros(shape, np.uint8)
        mask[self.region.slices] = self.patch
        return mask


@dataclass(frozen=True, eq=False)
class SegmentSet:
    """The segments of one file.

    Attributes:
        segments: In the file's order.
        geometry: The grid of all of them.
        notes: What the reading had to assume or leave out, one sentence each, without anything of the patient.
    """

    segments: tuple[Segment, ...]
    geometry: Geometry
    notes: tuple[str, ...] = field(default=())

    def label_map(self, policy: OverlapPolicy = "keep") -> NDArray[Any]:
        """uint8 or uint16 on the grid; a voxel of two segments goes to the earlier ("keep") or later ("overwrite").

        Raises:
            FormatError: The policy is "overlap", or two segments share a label.
        """
        labels = [s.label for s in self.segments]
        if policy == "overlap" or len(set(labels)) < len(labels):
            raise FormatError("label map", expected="one value for each voxel and each segment", got=sorted(labels))
        merged = np.zeros(self.geometry.shape, np.uint8 if max(labels, default=0) <= 255 else np.uint16)
        for segment in self.segments if policy == "overwrite" else self.segments[::-1]:
            merged[segment.region.slices][segment.patch != 0] = segment.label
        return merged

    def disjoint(self, policy: OverlapPolicy = "keep") -> SegmentSet:
        """The same segments, each with the voxels that it has in the label map of ``policy``.

        Raises:
            FormatError: As ``label_map``.
        """
        labels = self.label_map(policy)
        parts = [replace(s, patch=(labels[s.region.slices] == s.label).astype(np.uint8)) for s in self.segments]
        return replace(self, segments=tuple(parts))

    def overlapping(self) -> tuple[str, str] | None:
        """Names of two segments that share a voxel, None where no two do."""
        for i, first in enumerate(self.segments):
            for second in self.segments[i + 1 :]:
                if _overlap(first, second):
                    return first.name, second.name
        return None

    def with_notes(self, *notes: str) -> SegmentSet:
        """The same with further notes."""
        return replace(self, notes=(*self.notes, *notes))


def check_segments(segments: Sequence[Segment], shape: Sequence[int]) -> None:
    """Check that there are segments and that each lies on the grid.

    Raises:
        InputError: There is none, or one has voxels outside an image of ``shape``, in array order.
    """
    if not segments:
        raise InputError("segments", expected="at least one", got="none")
    for segment in segments:
        region = segment.region
        if len(region.start) != len(shape) or region.clip(shape) != region:
            raise InputError(f"segment '{segment.name}'", expected=f"voxels in {tuple(shape)}", got=region)


def _overlap(first: Segment, second: Segment) -> bool:
    common = first.region.intersection(second.region)
    if common.is_empty:
        return False
    parts = [s.patch[common.shift([-a for a in s.region.start]).slices] for s in (first, second)]
    return bool((parts[0] & parts[1]).any())


def segments_of_labels(
    labels: NDArray[Any], names: Mapping[int, str] | Sequence[str] = (), **facts: Any
) -> tuple[Segment, ...]:
    """The segments of a label map, (z, y, x) or (y, x), in the order of their values.

    Args:
        labels: uint8 or uint16, 0 is background.
        names: Of the values 1, 2, ..., or by value; named values without voxels become empty segments.
        facts: Attributes that all of them get.
    """
    from scipy import ndimage

    known = dict(names) if isinstance(names, Mapping) else dict(enumerate(names, start=1))
    boxes = ndimage.find_objects(labels)
    made = []
    for value in sorted({*known, *(i for i, box in enumerate(boxes, start=1) if box is not None)}):
        box = boxes[value - 1] if value <= len(boxes) else None
        region = (
            Region.empty(labels.ndim)
            if box is None
            else Region(tuple(s.start for s in box), tuple(s.stop for s in box))
        )
        patch = (labels[region.slices] == value).astype(np.uint8)
        made.append(Segment(value, known.get(value, f"segment {value}"), patch, region, **facts))
    return tuple(made)
