"""Writing RT Structure Sets (PS3.3 A.19) with pydicom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside import __version__
from bedside.core.errors import BedsideError, FormatError
from bedside.core.files import atomic_path
from bedside.core.geometry import Geometry
from bedside.io.dicom.codes import ABNORMAL, ANATOMY, Code
from bedside.io.dicom.colours import PALETTE, rgb_of
from bedside.io.dicom.contours import contours_of
from bedside.io.dicom.patient import scrubbed
from bedside.io.dicom.segments import Segment, check_segments
from bedside.io.dicom.source import BLANK, Source
from bedside.io.quiet import quiet, reason

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
_SERIES_NUMBER = 2000
_LONGEST_NAME = 64
_LONGEST_TERM = 16
_LONGEST_NUMBER = 16
_CARRIED = (
    *BLANK,
    "StudyInstanceUID",
    "StudyDescription",
    "IssuerOfPatientID",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "EthnicGroup",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "PositionReferenceIndicator",
    "FrameOfReferenceUID",
)
_TYPES = ("GTV", "CTV", "PTV", "ORGAN", "EXTERNAL", "AVOIDANCE", "BOLUS", "MARKER", "CAVITY", "SUPPORT")


def write_rtstruct(
    path: str | Path,
    segments: Sequence[Segment],
    source: Source,
    *,
    keyhole: bool = True,
    label: str = "SEGMENTATION",
    description: str = "Structure set",
    series_number: int | None = None,
) -> tuple[str, ...]:
    """Write segments as the regions of interest of one RT Structure Set, each slice by the contours of its mask.

    Contours follow the border between voxels; a segment without voxels is a region without contours. An older file is
    replaced only once the new one is complete.

    Args:
        path: Where to.
        segments: At least one, on the grid of ``source.geometry``.
        source: The instances of the image, of ``find_source``.
        keyhole: Join holes to the contour around them by a channel without width, as the standard asks of
            CLOSED_PLANAR; else write them as contours of their own, all of type CLOSEDPLANAR_XOR (CP-1714), which
            little software knows.
        label: Structure Set Label.
        description: Series Description.
        series_number: Of the new series; 2000 more than the image's where left out.

    Returns:
        What a user should know, a sentence each.

    Raises:
        InputError: No segment, or a region outside the grid.
        FormatError: An image without positions in the patient, to which contours cannot refer.
    """
    _check(path, segments, source)
    header = source.instances[0]
    try:
        with quiet(), atomic_path(path) as temporary:
            dataset = _header(header, label, description, series_number)
            _put_segments(dataset, segments, source, keyhole)
            dataset.save_as(temporary, enforce_file_format=True)
    except BedsideError:
        raise
    # What pydicom says may quote the header of the image.
    except Exception as error:
        raise FormatError(f"{path} cannot be written as RTSTRUCT", got=scrubbed(reason(error), header)) from None
    long = [s.label for s in segments if len(s.name) > _LONGEST_NAME]
    return tuple(f"the name of region {n} is cut at {_LONGEST_NAME} characters" for n in long)


def _check(path: str | Path, segments: Sequence[Segment], source: Source) -> None:
    if not source.placed:
        raise FormatError(
            f"{path}: RTSTRUCT", expected="an image with positions in the patient", got="none", fix="use dicom-seg"
        )
    check_segments(segments, source.geometry.shape)


def _header(header: Any, label: str, description: str, series_number: int | None) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ImplicitVRLittleEndian

    now = datetime.now()
    made = Dataset()
    made.file_meta = FileMetaDataset()
    # Implicit: with explicit representations a contour could hold no more than 64 KiB.
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = UID(RTSTRUCT_CLASS)
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = UID(_uid())
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _CARRIED:
        if keyword in header:
            setattr(made, keyword, header.get(keyword))
    made.Modality, made.SeriesInstanceUID = "RTSTRUCT", _uid()
    made.SeriesNumber = series_number or _SERIES_NUMBER + int(header.get("SeriesNumber") or 0)
    made.SeriesDescription, made.InstanceNumber = description[:_LONGEST_NAME], 1
    made.OperatorsName = ""
    made.Manufacturer = made.ManufacturerModelName = "Bedside"
    made.SoftwareVersions, made.DeviceSerialNumber = __version__, "0"
    made.StructureSetLabel = label[:_LONGEST_TERM]
    made.StructureSetDate = made.InstanceCreationDate = made.SeriesDate = f"{now:%Y%m%d}"
    made.StructureSetTime = made.InstanceCreationTime = made.SeriesTime = f"{now:%H%M%S}"
    made.ApprovalStatus = "UNAPPROVED"
    if "PositionReferenceIndicator" not in made:
        made.PositionReferenceIndicator = ""
    return made


def _put_segments(made: Any, segments: Sequence[Segment], source: Source, keyhole: bool) -> None:
    from pydicom.dataset import Dataset

    frame_of_reference = str(source.instances[0].FrameOfReferenceUID)
    made.ReferencedFrameOfReferenceSequence = [_references(source, frame_of_reference)]
    regions, contours, observations = [], [], []
    ordered = sorted(segments, key=lambda s: s.label)
    labels = [s.label for s in ordered]
    numbers = labels if len(set(labels)) == len(labels) else range(1, len(labels) + 1)
    for place, (number, segment) in enumerate(zip(numbers, ordered, strict=True)):
        region = Dataset()
        region.ROINumber, region.ROIName = number, _line(segment.name)[:_LONGEST_NAME]
        region.ReferencedFrameOfReferenceUID = frame_of_reference
        kind = segment.algorithm.type if segment.algorithm else ""
        region.ROIGenerationAlgorithm = kind
        if segment.algorithm:
            region.ROIGenerationDescription = f"{segment.algorithm.name} {segment.algorithm.version}"[:_LONGEST_NAME]
        regions.append(region)
        drawn = Dataset()
        drawn.ReferencedROINumber = number
        drawn.ROIDisplayColor = list(rgb_of(segment.colour or PALETTE[place % len(PALETTE)]))
        items = list(_contours(segment, source, keyhole))
        if items:
            drawn.ContourSequence = items
        contours.append(drawn)
        observations.append(_observation(number, segment))
    made.StructureSetROISequence = regions
    made.ROIContourSequence = contours
    made.RTROIObservationsSequence = observations


def _references(source: Source, frame_of_reference: str) -> Any:
    from pydicom.dataset import Dataset

    first = source.instances[0]
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ContourImageSequence = [_image(source, plane) for plane in _whole_instances(source)]
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = _DETACHED_STUDY, first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    made = Dataset()
    made.FrameOfReferenceUID = frame_of_reference
    made.RTReferencedStudySequence = [study]
    return made


def _whole_instances(source: Source) -> Iterator[int]:
    """A slice of each instance, in the slices' order."""
    seen = set()
    for index, plane in enumerate(source.planes):
        if plane.instance not in seen:
            seen.add(plane.instance)
            yield index


def _image(source: Source, index: int, *, frame: bool = False) -> Any:
    from pydicom.dataset import Dataset

    plane = source.planes[index]
    instance = source.instances[plane.instance]
    made = Dataset()
    made.ReferencedSOPClassUID = instance.SOPClassUID
    made.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    if frame and "NumberOfFrames" in instance:
        made.ReferencedFrameNumber = plane.frame + 1
    return made


def _contours(segment: Segment, source: Source, keyhole: bool) -> Iterator[Any]:
    from pydicom.charset import default_encoding
    from pydicom.dataset import Dataset

    to_world, decimals = _placing(source), _decimals(source.geometry)
    number = 0
    for z, (rows, columns), mask in segment.slices():
        for points in contours_of(mask, keyhole=keyhole):
            number += 1
            item = Dataset()
            item.ContourImageSequence = [_image(source, z, frame=True)]
            item.ContourGeometricType = "CLOSED_PLANAR" if keyhole else "CLOSEDPLANAR_XOR"
            item.ContourNumber, item.NumberOfContourPoints = number, len(points)
            index = np.column_stack([points + np.array([columns.start, rows.start]), np.full(len(points), z)])
            item.add(_contour_data(index @ to_world[:3, :3].T + to_world[:3, 3], decimals))
            # Else pydicom would make an object of every number, to encode it again.
            item.set_original_encoding(True, True, default_encoding)
            yield item


def _placing(source: Source) -> NDArray[np.float64]:
    """From index (x, y, z) to world (4, 4); of a picture with a position by its header."""
    geometry = source.geometry
    if geometry.ndim == 3:
        return geometry.index_to_world_matrix
    header = source.instances[source.planes[0].instance]
    axes = np.array([float(v) for v in header.ImageOrientationPatient]).reshape(2, 3)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = axes[0] * geometry.spacing[0], axes[1] * geometry.spacing[1]
    matrix[:3, 2] = np.cross(axes[0], axes[1])
    matrix[:3, 3] = [float(v) for v in header.ImagePositionPatient]
    return matrix


def _decimals(geometry: Geometry) -> int:
    """Decimals of coordinates in mm that resolve a thousandth of a voxel."""
    return int(max(3, np.ceil(3 - np.log10(min(geometry.spacing)))))


def _contour_data(points: NDArray[np.float64], decimals: int) -> Any:
    """The element Contour Data, as bytes already: pydicom would make an object of every number.

    Raises:
        FormatError: Coordinates that do not fit the 16 characters of a decimal string.
    """
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    # Adding zero turns -0.0 into 0.0.
    texts = [f"{v:.{decimals}f}" for v in (np.round(points, decimals) + 0.0).ravel().tolist()]
    if max(map(len, texts)) > _LONGEST_NUMBER:
        texts = [f"{float(t):.9g}" for t in texts]
    if max(map(len, texts)) > _LONGEST_NUMBER:
        raise FormatError("contour", expected=f"coordinates of at most {_LONGEST_NUMBER} characters", got="longer ones")
    value = "\\".join(texts).encode("ascii")
    value += b" " * (len(value) % 2)
    tag = Tag(tag_for_keyword("ContourData") or 0)
    return RawDataElement(tag, "DS", len(value), value, 0, True, True)


def _observation(number: int, segment: Segment) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    made.ObservationNumber = made.ReferencedROINumber = number
    made.RTROIInterpretedType = segment.roi_type if segment.roi_type is not None else roi_type(segment)
    made.ROIInterpreter = ""
    if segment.codes is not None or segment.coded.category in (ANATOMY, ABNORMAL):
        kind = _concept(segment.coded.type)
        if segment.coded.modifier is not None:
            kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(segment.coded.modifier)]
        made.RTROIIdentificationCodeSequence = [kind]
    return made


def roi_type(segment: Segment) -> str:
    """RT ROI Interpreted Type of a segment by its name ("GTV 1", "External"), else ORGAN for anatomy, else nothing."""
    first = segment.name.upper().replace("_", " ").split()[:1]
    named = next((t for t in _TYPES if first and first[0].rstrip("0123456789-") == t), None)
    if named is not None:
        return named
    return "ORGAN" if segment.coded.category == ANATOMY else ""


def _concept(code: Code) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code.value, code.scheme, code.meaning
    return made


def _line(text: str) -> str:
    """A text that one value of a DICOM attribute can hold: a backslash would part it into two."""
    return " ".join(text.replace("\\", "/").split()) or "region"


def _uid() -> str:
    from pydicom.uid import generate_uid

    # Prefix None: a UUID (PS3.5 B.2), which needs no registered root.
    return str(generate_uid(prefix=None))
