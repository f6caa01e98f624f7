"""Reading DICOM Segmentation objects with pydicom alone: BINARY, FRACTIONAL and LABELMAP."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.region import Region, mask_region
from bedside.io.bounds import check_declared
from bedside.io.dicom.codes import Code, PropertyCodes
from bedside.io.dicom.colours import colour_of_cielab
from bedside.io.dicom.declared import check_frames
from bedside.io.dicom.patient import scrubbed
from bedside.io.dicom.regrid import onto_grid
from bedside.io.dicom.segments import Algorithm, Segment, SegmentSet
from bedside.io.dicom.source import Source, find_source, position_of
from bedside.io.quiet import quiet, reason

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""

_SAME_PLANE = 0.02
_NOT_ALIKE = 1e-3


@dataclass(frozen=True, eq=False)
class _Piece:
    """What a frame holds of a segment: a crop of it."""

    frame: int
    label: int
    region: Region
    samples: NDArray[np.uint8]


def read_seg(
    path: str | Path, reference: Image | None = None, *, threshold: float = 0.5, volume: int | None = None
) -> SegmentSet:
    """The segments of a SEG object, on the image's grid or on their own.

    Args:
        path: A file of Segmentation Storage or Label Map Segmentation Storage.
        reference: The image that it belongs to. Voxels of another grid are resampled by the nearest, which a note says.
        threshold: Part of the largest value from which on a voxel of a FRACTIONAL segmentation counts; a note says it.
        volume: Volume or frame of the series that ``reference`` holds, as for reading it.

    Raises:
        FormatError: The object is damaged, of another frame of reference, or its frames are no stack of slices.
    """
    from pydicom import dcmread

    file = Path(path)
    with quiet():
        try:
            dataset = dcmread(file)
        except Exception as error:
            raise FormatError(f"{file} cannot be read as DICOM SEG", got=reason(error)) from None
        if str(dataset.get("SOPClassUID")) not in SEG_CLASSES:
            raise FormatError(f"{file}", expected="a DICOM Segmentation object", got=dataset.get("Modality", "none"))
        try:
            return _read(file, dataset, reference, threshold, volume)
        except FormatError:
            raise
        except Exception as error:
            text = scrubbed(reason(error), dataset)
            raise FormatError(f"{file} cannot be read as DICOM SEG", got=text, fix="the file is damaged") from None


def _read(path: Path, dataset: Any, reference: Image | None, threshold: float, volume: int | None) -> SegmentSet:
    notes = []
    check_frames(str(path), dataset, path.stat().st_size)
    if not dataset.get("PerFrameFunctionalGroupsSequence"):
        tiled = dataset.get("DimensionOrganizationType") == "TILED_FULL"
        raise FormatError(
            f"{path}: frames of the segmentation",
            expected="a description of each",
            got="tiles of a slide" if tiled else "none",
        )
    if dataset.get("SegmentationType") == "FRACTIONAL":
        notes.append(f"fractional segmentation: voxels of at least {threshold:g} of the largest value count")
    pieces = list(_pieces(dataset, threshold))
    positions = [_position(dataset, i) for i in range(int(dataset.NumberOfFrames))]
    if any(p is None for p in positions):
        if reference is not None and reference.ndim == 3:
            return _by_reference(path, dataset, pieces, reference, volume).with_notes(*notes)
        return _pictures(path, dataset, pieces, reference, volume).with_notes(*notes)
    _check_frame_of_reference(path, dataset, reference)
    places, geometry = _stack(path, dataset, np.array(positions), None if reference is None else reference.geometry)
    found = _gathered(dataset, pieces, places, geometry).with_notes(*notes)
    if reference is None:
        return found
    if reference.ndim == 2:
        return _flat(path, found, reference, volume)
    return onto_grid(found, reference.geometry)


def _check_frame_of_reference(path: Path, dataset: Any, reference: Image | None) -> None:
    image = "" if reference is None else str(reference.metadata.get("frame_of_reference_uid") or "")
    own = str(dataset.get("FrameOfReferenceUID") or "")
    if image and own and image != own:
        raise FormatError(
            f"{path}: the segmentation belongs to another frame of reference than the image",
            expected=image,
            got=own,
            fix="give the image that it was made on",
        )


def _pieces(dataset: Any, threshold: float) -> Iterator[_Piece]:
    labelmap = dataset.SegmentationType == "LABELMAP"
    least = threshold * float(dataset.get("MaximumFractionalValue") or 1)
    for index, samples in enumerate(_frames(dataset)):
        if labelmap:
            for value in np.unique(samples):
                if value:
                    yield _cropped(index, int(value), samples == value)
            continue
        mask = samples >= max(least, 1) if dataset.SegmentationType == "FRACTIONAL" else samples != 0
        yield _cropped(index, _segment_number(dataset, index), mask)


def _cropped(frame: int, label: int, mask: NDArray[np.bool_]) -> _Piece:
    region = mask_region(mask)
    return _Piece(frame, label, region, mask[region.slices].astype(np.uint8))


def _frames(dataset: Any) -> Iterator[NDArray[Any]]:
    """Samples (y, x) of each frame, one after the other, so that never all are in memory."""
    shape = int(dataset.Rows), int(dataset.Columns)
    count, size = int(dataset.NumberOfFrames), shape[0] * shape[1]
    if dataset.BitsAllocated == 1 and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        packed = np.frombuffer(dataset.PixelData, np.uint8)
        if packed.size * 8 < count * size:
            raise FormatError("samples of the segmentation", expected=f"{count * size} bits", got=packed.size * 8)
        for index in range(count):
            first, end = index * size, (index + 1) * size
            bits = np.unpackbits(packed[first // 8 : -(-end // 8)], bitorder="little")
            yield bits[first % 8 : first % 8 + size].reshape(shape)
        return
    from pydicom.pixels.utils import iter_pixels

    for frame in iter_pixels(dataset):
        yield frame.reshape(shape)


def _macro(dataset: Any, frame: int, name: str) -> Any | None:
    for group in (dataset.PerFrameFunctionalGroupsSequence[frame], *dataset.get("SharedFunctionalGroupsSequence", ())):
        if group.get(name):
            return group[name].value[0]
    return None


def _position(dataset: Any, frame: int) -> NDArray[np.float64] | None:
    """Centre of the first sample of a frame; several segments of one slice may share what says it."""
    if (macro := _macro(dataset, frame, "PlanePositionSequence")) is None:
        return position_of(dataset, frame)
    value = macro.get("ImagePositionPatient")
    return None if value is None or len(value) != 3 else np.array([float(v) for v in value])


def _segment_number(dataset: Any, frame: int) -> int:
    macro = _macro(dataset, frame, "SegmentIdentificationSequence")
    if macro is None:
        raise FormatError(f"frame {frame + 1} of the segmentation", expected="a segment's number", got="none")
    return int(macro.ReferencedSegmentNumber)


def _stack(
    path: Path, dataset: Any, positions: NDArray[np.float64], grid: Geometry | None
) -> tuple[list[int], Geometry]:
    """Which slice of the segmentation's own grid each frame is, and that grid; slices without frames are counted."""
    measures, axes = _measures(path, dataset), _axes(path, dataset)
    normal = np.cross(axes[0], axes[1])
    along = positions @ normal
    first = positions[int(np.argmin(along))]
    beside = positions - first - (along - along.min())[:, None] * normal
    spacing = [float(v) for v in measures.PixelSpacing]
    if np.linalg.norm(beside, axis=1).max() > 0.25 * min(spacing):
        raise FormatError(f"{path}: frames of the segmentation", expected="slices above each other", got="moved aside")
    # A frame on a slice of the image belongs to that slice, however far apart the frames are; frames of other pixels
    # are as thick as they say.
    alike = (
        grid is not None
        and grid.ndim == 3
        and abs(np.array(grid.direction)[:, 2] @ normal) > 1 - _NOT_ALIKE
        and np.allclose(sorted(grid.spacing[:2]), sorted(spacing), rtol=0.01)
    )
    step = _step(measures, along, grid.spacing[2] if grid is not None and alike else None)
    places = (along - along.min()) / step
    whole = np.rint(places)
    if np.abs(places - whole).max() > 0.1:
        raise FormatError(
            f"{path}: frames of the segmentation", expected=f"slices {step:g} mm apart", got="irregular distances"
        )
    direction = np.column_stack([axes[0], axes[1], normal])
    shape = int(whole.max()) + 1, int(dataset.Rows), int(dataset.Columns)
    # Two frames far apart make a tall grid of few bytes.
    check_declared(f"{path}: grid of the segmentation", math.prod(shape), path.stat().st_size, "loose")
    geometry = Geometry.create(shape, (spacing[1], spacing[0], step), [float(v) for v in first], direction)
    return [int(w) for w in whole], geometry


def _step(measures: Any, along: NDArray[np.float64], image: float | None) -> float:
    """Millimetres between slices: the image's, else as stated, unless the positions cannot be multiples of that."""
    gaps = np.diff(np.unique(np.round(along, 3)))
    gaps = gaps[gaps > 0.005]
    values = image, measures.get("SpacingBetweenSlices"), measures.get("SliceThickness")
    stated = [abs(float(v)) for v in values if v]
    for step in stated:
        if gaps.size == 0 or (step > 0 and np.abs(gaps / step - np.rint(gaps / step)).max() <= 0.05):
            return step
    return float(gaps.min()) if gaps.size else 1.0


def _measures(path: Path, dataset: Any) -> Any:
    first, last = (_macro(dataset, i, "PixelMeasuresSequence") for i in (0, int(dataset.NumberOfFrames) - 1))
    if first is None or last is None or first.get("PixelSpacing") is None or last.get("PixelSpacing") is None:
        raise FormatError(f"{path}: frames of the segmentation", expected="pixel spacing", got="none")
    if not np.allclose(first.PixelSpacing, last.PixelSpacing, rtol=_NOT_ALIKE):
        raise FormatError(f"{path}: frames of the segmentation", expected="one pixel spacing", got="several")
    return first


def _axes(path: Path, dataset: Any) -> NDArray[np.float64]:
    """Unit vectors along a row and along a column, (2, 3), the same for all frames."""
    found = [_macro(dataset, i, "PlaneOrientationSequence") for i in range(int(dataset.NumberOfFrames))]
    if any(f is None or f.get("ImageOrientationPatient") is None for f in found):
        raise FormatError(f"{path}: frames of the segmentation", expected="an orientation", got="none")
    axes = np.array([[float(v) for v in f.ImageOrientationPatient] for f in found if f is not None])
    if np.abs(axes - axes[0]).max() > _NOT_ALIKE:
        raise FormatError(f"{path}: frames of the segmentation", expected="one orientation", got="several")
    first = axes[0].reshape(2, 3)
    made: NDArray[np.float64] = first / np.linalg.norm(first, axis=1)[:, None]
    return made


def _gathered(dataset: Any, pieces: list[_Piece], places: list[int], geometry: Geometry) -> SegmentSet:
    by_label: dict[int, list[_Piece]] = {}
    for piece in pieces:
        if not piece.region.is_empty:
            by_label.setdefault(piece.label, []).append(piece)
    segments = []
    for item in dataset.SegmentSequence:
        label = int(item.SegmentNumber)
        if label == 0:  # A label map's background.
            continue
        segments.append(_segment(item, label, by_label.pop(label, []), places, geometry.ndim))
    if by_label:
        raise FormatError("segments", expected="a description of each", got=f"none of {sorted(by_label)}")
    return SegmentSet(tuple(segments), geometry)


def _segment(item: Any, label: int, pieces: list[_Piece], places: list[int], ndim: int) -> Segment:
    region = Region.empty(3)
    for piece in pieces:
        z = places[piece.frame]
        region = region.union(Region((z, *piece.region.start), (z + 1, *piece.region.stop)))
    patch = np.zeros(region.shape, np.uint8)
    for piece in pieces:
        rows, columns = piece.region.shift((-region.start[1], -region.start[2])).slices
        patch[places[piece.frame] - region.start[0], rows, columns] |= piece.samples
    if ndim == 2:
        patch, region = (patch[0] if pieces else np.zeros((0, 0), np.uint8)), Region(region.start[1:], region.stop[1:])
    return Segment(label, _text(item, "SegmentLabel") or f"segment {label}", patch, region, **_facts(item))


def _facts(item: Any) -> dict[str, Any]:
    colour = item.get("RecommendedDisplayCIELabValue")
    identification = item.get("SegmentationAlgorithmIdentificationSequence")
    name = _text(item, "SegmentAlgorithmName")
    version = ""
    if identification:
        name = _text(identification[0], "AlgorithmName") or name
        version = _text(identification[0], "AlgorithmVersion")
    kind = _text(item, "SegmentAlgorithmType")
    known = kind in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
    return {
        "codes": _codes(item),
        "colour": colour_of_cielab([int(v) for v in colour]) if colour is not None and len(colour) == 3 else None,
        "tracking_id": _text(item, "TrackingID") or None,
        "tracking_uid": _text(item, "TrackingUID") or None,
        "algorithm": Algorithm(name or "unknown", version or "unknown", kind) if known else None,  # type: ignore[arg-type]
    }


def _codes(item: Any) -> PropertyCodes | None:
    category, kind = (item.get(f"SegmentedProperty{k}CodeSequence") for k in ("Category", "Type"))
    if not category or not kind:
        return None
    modifier = kind[0].get("SegmentedPropertyTypeModifierCodeSequence")
    return PropertyCodes(_code(category[0]), _code(kind[0]), _code(modifier[0]) if modifier else None)


def _code(item: Any) -> Code:
    value = next((_text(item, k) for k in ("CodeValue", "LongCodeValue", "URNCodeValue") if _text(item, k)), "")
    return Code(value, _text(item, "CodeMeaning"), _text(item, "CodingSchemeDesignator"))


def _text(item: Any, keyword: str) -> str:
    return str(item.get(keyword) or "").strip()


def _by_reference(path: Path, dataset: Any, pieces: list[_Piece], reference: Image, volume: int | None) -> SegmentSet:
    """Segments of frames without positions, which lie on the slices of a volume that they refer to."""
    shape = int(dataset.Rows), int(dataset.Columns)
    if shape != reference.shape[1:]:
        raise FormatError(f"{path}: frames without positions", expected=f"slices of {reference.shape[1:]}", got=shape)
    source = find_source(reference, volume=volume)
    targets = [_target(dataset, index) for index in range(int(dataset.NumberOfFrames))]
    places = [None if target is None else source.plane_of(*target) for target in targets]
    lost = sum(place is None for place in places)
    if lost:
        raise FormatError(
            f"{path}: {lost} of {len(places)} frames have no position",
            expected="a PlanePositionSequence, or a reference to a slice of the image",
            got="neither" if None in targets else "references to other images",
            fix="give the image that it was made on",
        )
    return _gathered(dataset, pieces, [place for place in places if place is not None], reference.geometry)


def _pictures(
    path: Path, dataset: Any, pieces: list[_Piece], reference: Image | None, volume: int | None
) -> SegmentSet:
    """Segments of frames without a place in the patient, found by the instance and frame that they refer to."""
    shape = int(dataset.Rows), int(dataset.Columns)
    if reference is not None and (reference.ndim != 2 or reference.shape != shape):
        raise FormatError(
            f"{path}: a segmentation of a picture",
            expected=f"a picture of {shape}",
            got=f"an image of {reference.shape}",
        )
    geometry = Geometry.create(shape) if reference is None else reference.geometry
    targets = {p.frame: _target(dataset, p.frame) for p in pieces}
    if reference is None:
        if len(set(targets.values())) > 1:
            raise FormatError(
                f"{path}: segments of several pictures, whose frames have no positions",
                fix="give the image with --image (reference= in Python) and --volume (volume= in Python)",
            )
        kept = pieces
    else:
        kept = _of_picture(path, pieces, targets, reference, volume)
    return _gathered(dataset, kept, [0] * int(dataset.NumberOfFrames), geometry)


def _of_picture(
    path: Path, pieces: list[_Piece], targets: dict[int, Any], reference: Image, volume: int | None
) -> list[_Piece]:
    try:
        source = find_source(reference, volume=volume)
    except (FormatError, ValueError):
        source = None
    if source is None or None in targets.values():
        if len(set(targets.values())) > 1:
            raise FormatError(f"{path}: segments of several pictures", fix="give the DICOM image that they belong to")
        return pieces
    kept = [p for p in pieces if _is_plane(source, targets[p.frame])]
    if pieces and not kept and not _empty(pieces):
        raise FormatError(
            f"{path}: a segmentation of another picture than the image", fix="give the one it was made on"
        )
    return kept


def _is_plane(source: Source, target: tuple[str, int | None]) -> bool:
    return source.plane_of(*target) is not None


def _empty(pieces: list[_Piece]) -> bool:
    return all(p.region.is_empty for p in pieces)


def _target(dataset: Any, frame: int) -> tuple[str, int | None] | None:
    """SOP instance and frame (from 1) of the source that a frame refers to; None where it names none."""
    derivation = _macro(dataset, frame, "DerivationImageSequence")
    images = derivation.get("SourceImageSequence") if derivation is not None else None
    if not images:
        return None
    number = images[0].get("ReferencedFrameNumber")
    first = number if number is None or isinstance(number, int | str) else number[0]
    return str(images[0].ReferencedSOPInstanceUID), None if first is None else int(first)


def _flat(path: Path, found: SegmentSet, reference: Image, volume: int | None) -> SegmentSet:
    """Of segments with a place in the patient those of a slice that is read as a picture (a colour one)."""
    source = find_source(reference, volume=volume)
    position = source.planes[0].position
    if position is None:
        raise FormatError(f"{path}: the segmentation has positions", expected="an image with positions", got="none")
    index = found.geometry.world_to_index(position)
    z = round(float(index[2]))
    if reference.shape != found.geometry.shape[1:] or np.abs(index - [0, 0, z]).max() > 0.1:
        raise FormatError(f"{path}: a segmentation of another slice than the image", fix="give the one it was made on")
    segments = []
    for segment in found.segments:
        mask = np.zeros(reference.shape, np.uint8)
        if segment.region.start[0] <= z < segment.region.stop[0]:
            mask[segment.region.slices[1:]] = segment.patch[z - segment.region.start[0]]
        made = Segment.of_mask(segment.label, segment.name, mask)
        segments.append(replace(segment, patch=made.patch, region=made.region))
    return SegmentSet(tuple(segments), reference.geometry, found.notes)
