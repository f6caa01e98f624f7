"""Reading RT Structure Sets with pydicom: contours become masks on the image's grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.region import Region, mask_region
from bedside.io.dicom.codes import Code, PropertyCodes, property_codes
from bedside.io.dicom.colours import colour_of
from bedside.io.dicom.contours import mask_of
from bedside.io.dicom.patient import scrubbed
from bedside.io.dicom.rtstruct_writing import RTSTRUCT_CLASS
from bedside.io.dicom.segments import Algorithm, Segment, SegmentSet
from bedside.io.quiet import quiet, reason

ON_SLICE = 0.1
"""How far from a slice a contour may lie to belong to it, in slices."""

OFF_PLANE = 0.1
"""How far apart, in slices, the points of a contour may lie along the normal."""

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True, eq=False)
class _Contour:
    """A closed contour on the grid: its place along the normal and its points, in voxels."""

    z: float
    points: NDArray[np.float64]
    alternate: bool


def read_rtstruct(path: str | Path, reference: Image) -> SegmentSet:
    """The regions of interest of a structure set, as masks on the image's grid.

    A voxel belongs to a region when its centre lies inside its contours. Holes may be keyholes or contours within
    contours. Contours between slices count for the slices that lie nearest, which a note says. Points, open lines and
    contours outside the image are left out, which notes say too.

    Args:
        path: A file of RT Structure Set Storage.
        reference: The image, a volume: contours have no grid of their own.

    Raises:
        InputError: ``reference`` is no volume.
        FormatError: The object is damaged, of another frame of reference, or a contour does not lie in a slice's plane.
    """
    from pydicom import dcmread

    file = Path(path)
    if reference.ndim != 3:
        raise InputError(f"{file}: contours", expected="a volume to lie in", got=f"a picture of {reference.shape}")
    with quiet():
        try:
            dataset = dcmread(file)
        except Exception as error:
            raise FormatError(f"{file} cannot be read as RTSTRUCT", got=reason(error)) from None
        if str(dataset.get("SOPClassUID")) != RTSTRUCT_CLASS:
            raise FormatError(f"{file}", expected="an RT Structure Set", got=dataset.get("Modality", "none"))
        try:
            return _read(file, dataset, reference)
        except FormatError:
            raise
        except Exception as error:
            text = scrubbed(reason(error), dataset)
            raise FormatError(f"{file} cannot be read as RTSTRUCT", got=text, fix="the file is damaged") from None


def _read(path: Path, dataset: Any, reference: Image) -> SegmentSet:
    drawn = _drawn(dataset)
    seen = {int(o.ReferencedROINumber): o for o in dataset.get("RTROIObservationsSequence") or ()}
    notes: list[str] = []
    segments = []
    own = str(reference.metadata.get("frame_of_reference_uid") or "")
    for item in dataset.get("StructureSetROISequence") or ():
        number = int(item.ROINumber)
        frame = str(item.get("ReferencedFrameOfReferenceUID") or "")
        if own and frame and own != frame:
            raise FormatError(
                f"{path}: region {number} belongs to another frame of reference than the image",
                expected=own,
                got=frame,
                fix="give the image that it was drawn on",
            )
        contours = _contours(path, number, drawn.get(number), reference.geometry, notes)
        patch, region = _filled(number, contours, _half_extent(number, drawn.get(number), contours, reference, notes),
                                reference.geometry, notes)  # fmt: skip
        segments.append(_segment(number, item, drawn.get(number), seen.get(number), patch, region))
    if not segments:
        raise FormatError(f"{path}", expected="regions of interest", got="none")
    return SegmentSet(tuple(segments), reference.geometry, tuple(dict.fromkeys(notes)))


def _drawn(dataset: Any) -> dict[int, Any]:
    """What is drawn of each region, by its number; several items of one region hold its contours together."""
    found: dict[int, Any] = {}
    for item in dataset.get("ROIContourSequence") or ():
        number = int(item.ReferencedROINumber)
        if number not in found:
            found[number] = item
        elif item.get("ContourSequence"):
            found[number].ContourSequence = [*(found[number].get("ContourSequence") or ()), *item.ContourSequence]
    return found


def _contours(path: Path, number: int, drawn: Any, geometry: Geometry, notes: list[str]) -> list[_Contour]:
    found = []
    for place, item in enumerate(drawn.get("ContourSequence") or () if drawn is not None else (), start=1):
        kind = str(item.get("ContourGeometricType") or "")
        if kind not in _CLOSED:
            notes.append(f"region {number}: what is no closed contour is left out ({kind or 'no type'})")
            continue
        values = np.array(_numbers(item), np.float64)
        if values.size == 0 or values.size % 3 or not np.all(np.isfinite(values)):
            raise FormatError(f"{path}: region {number}, contour {place}", expected="x, y, z of points", got="others")
        index = geometry.world_to_index(values.reshape(-1, 3))
        spread = float(np.ptp(index[:, 2]))
        if spread > OFF_PLANE:
            raise FormatError(
                f"{path}: region {number}, contour {place} does not lie in the plane of a slice",
                expected=f"points within {OFF_PLANE * geometry.spacing[2]:g} mm of a plane",
                got=f"{spread * geometry.spacing[2]:.3g} mm apart",
                fix="give the image that it was drawn on, or draw it in that image's slices",
            )
        found.append(_Contour(float(index[:, 2].mean()), index[:, :2], kind == "CLOSEDPLANAR_XOR"))
    return found


def _numbers(item: Any) -> Iterable[float]:
    """Contour Data as numbers, of the bytes where pydicom has not made objects of them yet."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement

    raw = item.get_item(tag_for_keyword("ContourData"))
    if raw is None:
        return ()
    if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes):
        text = raw.value.decode("ascii").strip(" \0")
        return [float(part) for part in text.split("\\")] if text else ()
    return [float(v) for v in np.ravel(raw.value)]


def _half_extent(number: int, drawn: Any, contours: list[_Contour], reference: Image, notes: list[str]) -> float:
    """How far from its plane, in slices, a contour counts.

    Contours on slices count there and nowhere else, even if slices between them have none: a gap may be meant. Where
    contours lie between slices, each counts as far as half way to the next; a stated slab thickness overrules both.
    """
    step = reference.geometry.spacing[2]
    items = (drawn.get("ContourSequence") or ()) if drawn is not None else ()
    slabs = [float(i.ContourSlabThickness) for i in items if i.get("ContourSlabThickness")]
    planes = np.unique(np.round([c.z for c in contours], 2))
    between = planes[np.abs(planes - np.rint(planes)) > ON_SLICE]
    if slabs:
        return max(0.5, max(slabs) / step / 2)
    if not between.size:
        return 0.5
    gaps = np.diff(planes)
    apart = float(np.median(gaps[gaps > 0.05])) if (gaps > 0.05).any() else 1.0
    notes.append(
        f"region {number}: {between.size} of {planes.size} planes of contours lie between slices; "
        f"each slice takes the nearest within {max(1.0, apart) / 2 * step:.3g} mm"
    )
    return max(1.0, apart) / 2


def _filled(
    number: int, contours: list[_Contour], half: float, geometry: Geometry, notes: list[str]
) -> tuple[NDArray[np.uint8], Region]:
    """The masks of each slice's nearest plane of contours, within ``half`` slices of it."""
    planes: dict[float, list[_Contour]] = {}
    for contour in sorted(contours, key=lambda c: c.z):
        near = next((z for z in planes if abs(z - contour.z) <= 0.05), contour.z)
        planes.setdefault(near, []).append(contour)
    heights = np.array(list(planes))
    outside = sum(z < -0.5 - ON_SLICE or z > geometry.shape[0] - 0.5 + ON_SLICE for z in planes)
    shape = geometry.shape[1], geometry.shape[2]
    beyond = any(
        c.points.min() < -0.5 - ON_SLICE or (c.points.max(axis=0) > np.array(shape[::-1]) - 0.5 + ON_SLICE).any()
        for c in contours
    )
    if outside or beyond:
        notes.append(f"region {number} reaches beyond the image and is cut at its border")
    kept: dict[int, NDArray[np.uint8]] = {}
    region = Region.empty(3)
    if heights.size:
        first, last = max(0, int(heights.min() - half)), min(geometry.shape[0] - 1, int(np.ceil(heights.max() + half)))
        for z in range(first, last + 1):
            nearest = float(heights[np.argmin(np.abs(heights - z))])
            if abs(nearest - z) > half + 1e-6:
                continue
            chosen = planes[nearest]
            mask = mask_of([c.points for c in chosen], shape, alternate=all(c.alternate for c in chosen))
            part = mask_region(mask)
            if not part.is_empty:
                kept[z] = mask
                region = region.union(Region((z, *part.start), (z + 1, *part.stop)))
    patch = np.zeros(region.shape, np.uint8)
    for z, mask in kept.items():
        patch[z - region.start[0]] = mask[region.slices[1:]]
    if contours and region.is_empty:
        notes.append(f"region {number} holds no voxel's centre and is empty on the image's grid")
    return patch, region


def _segment(number: int, item: Any, drawn: Any, seen: Any, patch: NDArray[np.uint8], region: Region) -> Segment:
    colour = drawn.get("ROIDisplayColor") if drawn is not None else None
    kind = str(item.get("ROIGenerationAlgorithm") or "").strip().upper()
    made_by = str(item.get("ROIGenerationDescription") or "").strip() or "unknown"
    known = kind in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
    return Segment(
        number,
        str(item.get("ROIName") or "").strip() or f"region {number}",
        patch,
        region,
        codes=_codes(item, seen),
        colour=colour_of((int(colour[0]), int(colour[1]), int(colour[2]))) if colour and len(colour) == 3 else None,
        algorithm=Algorithm(made_by, "unknown", kind) if known else None,  # type: ignore[arg-type]
        roi_type=str(seen.get("RTROIInterpretedType") or "").strip() if seen is not None else None,
    )


def _codes(item: Any, seen: Any) -> PropertyCodes | None:
    """Codes that the region states; their category, which RTSTRUCT does not have, is that of its name's."""
    stated = seen.get("RTROIIdentificationCodeSequence") if seen is not None else None
    if not stated:
        return None
    modifier = stated[0].get("SegmentedPropertyTypeModifierCodeSequence")
    by_name = property_codes(str(item.get("ROIName") or ""))
    return PropertyCodes(by_name.category, _code(stated[0]), _code(modifier[0]) if modifier else None)


def _code(item: Any) -> Code:
    return Code(*(str(item.get(k) or "").strip() for k in ("CodeValue", "CodeMeaning", "CodingSchemeDesignator")))
