"""Writing DICOM Segmentation objects (PS3.3 A.51 and A.101) with highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bedside import __version__
from bedside.core.errors import BedsideError, DependencyError, FormatError, InputError
from bedside.core.files import atomic_path
from bedside.io.dicom.codes import Code
from bedside.io.dicom.colours import cielab_of
from bedside.io.dicom.patient import scrubbed
from bedside.io.dicom.segments import Algorithm, Segment, SegmentSet, check_segments
from bedside.io.dicom.source import Source, position_of
from bedside.io.quiet import quiet, reason

SegType = Literal["binary", "labelmap"]

UNKNOWN_ALGORITHM = Algorithm("unknown", "unknown", "SEMIAUTOMATIC")
"""Of masks that came from elsewhere without a word on what made them."""

_LONGEST_LABEL = 64
_SERIES_NUMBER = 1000


def write_seg(
    path: str | Path,
    segments: Sequence[Segment],
    source: Source,
    *,
    seg_type: SegType = "binary",
    compress: bool = False,
    description: str = "Segmentation",
    series_number: int | None = None,
) -> tuple[str, ...]:
    """Write segments as one SEG object that refers to the instances of the image, and carries its patient and study.

    Slices without any segment hold no frame; a segment without voxels keeps its description. BINARY segments may
    overlap. An older file is replaced only once the new one is complete.

    Args:
        path: Where to.
        segments: At least one, on the grid of ``source.geometry``.
        source: The instances of the image, of ``find_source``.
        seg_type: "binary" is read by most software; "labelmap" (Supplement 243) is smaller and little known.
        compress: Compress without loss: the whole object by Deflate for "binary", each frame by RLE for "labelmap".
        description: Series Description.
        series_number: Of the new series; 1000 more than the image's where left out.

    Returns:
        What a user should know, a sentence each: labels that had to change, names that were shortened.

    Raises:
        InputError: No segment, a region outside the grid, or an unknown ``seg_type``.
        FormatError: Overlapping segments in a label map, or a source that SEG cannot refer to.
        DependencyError: highdicom is not installed.
    """
    if seg_type not in get_args(SegType):
        raise InputError("--seg-type", expected=f"one of {', '.join(get_args(SegType))}", got=seg_type)
    check_segments(segments, source.geometry.shape)
    hd = require_highdicom()
    numbered, notes = _numbered(segments, seg_type)
    overlap = SegmentSet(tuple(numbered), source.geometry).overlapping()
    if overlap and seg_type == "labelmap":
        raise FormatError(
            f"{path}: a LABELMAP segmentation",
            expected="segments without common voxels",
            got=f"'{overlap[0]}' and '{overlap[1]}'",
            fix="use --seg-type binary",
        )
    facts = {
        "segmentation_type": seg_type.upper(),
        "segment_descriptions": [_description(hd, segment) for segment in numbered],
        "series_instance_uid": _uid(),
        "series_number": series_number or _SERIES_NUMBER + int(source.instances[0].get("SeriesNumber") or 0),
        "sop_instance_uid": _uid(),
        "instance_number": 1,
        "manufacturer": "Bedside",
        "manufacturer_model_name": "Bedside",
        "software_versions": __version__,
        "device_serial_number": "0",
        "content_label": "SEGMENTATION",
        "content_description": description[:_LONGEST_LABEL],
        "series_description": description[:_LONGEST_LABEL],
        "specific_character_set": "ISO_IR 192",
        "transfer_syntax_uid": _syntax(seg_type, compress),
    }
    try:
        with quiet(), atomic_path(path) as temporary:
            made = _make(hd, numbered, source, facts)
            if seg_type == "binary":
                made.SegmentsOverlap = "YES" if overlap else "NO"
            if compress and seg_type == "binary":
                made.file_meta.TransferSyntaxUID = _deflated()
            made.save_as(temporary, enforce_file_format=True)
    except BedsideError:
        raise
    # What highdicom and pydicom say may quote the header of the image.
    except Exception as error:
        text = scrubbed(reason(error), source.instances[0])
        raise FormatError(f"{path} cannot be written as DICOM SEG", got=text) from None
    return tuple(notes)


def require_highdicom() -> Any:
    """Return the library that writes SEG.

    Raises:
        DependencyError: It is not installed.
    """
    try:
        import highdicom
    except ImportError as error:
        raise DependencyError("DICOM SEG", expected="highdicom", fix="pip install 'bedside[dicom]'") from error
    return highdicom


def _numbered(segments: Sequence[Segment], seg_type: SegType) -> tuple[list[Segment], list[str]]:
    """Segments in the order of their numbers, which BINARY wants to be 1, 2, ...; and what has changed."""
    ordered = sorted(segments, key=lambda s: s.label)
    notes = [
        f"the name of segment {s.label} is longer than {_LONGEST_LABEL} characters: it is whole in the description only"
        for s in ordered
        if len(s.name) > _LONGEST_LABEL
    ]
    labels = [s.label for s in ordered]
    kept = len(set(labels)) == len(labels) and labels[0] > 0 and labels[-1] <= np.iinfo(np.uint16).max
    if kept and (seg_type == "labelmap" or labels == list(range(1, len(labels) + 1))):
        return ordered, notes
    changed = [f"{old} is segment {new}" for new, old in enumerate(labels, start=1) if old != new]
    notes.append(f"segments are numbered from 1 on: label {', '.join(changed[:8])}{' ...' if changed[8:] else ''}")
    return [replace(s, label=number) for number, s in enumerate(ordered, start=1)], notes


def _make(hd: Any, segments: list[Segment], source: Source, facts: dict[str, Any]) -> Any:
    """The object: highdicom makes it with one empty slice, whose frames are the patterns of all others.

    highdicom looks at every slice for every segment, and cannot have several frames of a film loop or of one place.
    """
    planes = sorted({z for segment in segments for z, _, _ in segment.slices()}) or [0]
    made = _pattern(hd, segments, source, planes[0], facts)
    filler = _Filler(made, source, planes)
    if facts["segmentation_type"] == "BINARY":
        for index, segment in enumerate(segments):
            for plane, place, mask in segment.slices():
                filler.add(index, plane, [(place, mask, 1)])
    else:
        for plane, parts in _by_plane(segments).items():
            filler.add(0, plane, parts)
    filler.finish()
    return made


Part = tuple[tuple[slice, slice], NDArray[np.uint8], int]
"""Rows and columns, the samples of a segment there, and the value that it gets."""


def _by_plane(segments: list[Segment]) -> dict[int, list[Part]]:
    planes: dict[int, list[Part]] = {}
    for segment in segments:
        for plane, place, mask in segment.slices():
            planes.setdefault(plane, []).append((place, mask, segment.label))
    return dict(sorted(planes.items()))


def _pattern(hd: Any, segments: list[Segment], source: Source, plane: int, facts: dict[str, Any]) -> Any:
    """The object with empty frames of one slice: one for each segment, or one in a label map."""
    from pydicom.dataset import Dataset

    at = source.planes[plane]
    instance = source.instances[at.instance]
    header = _copied(instance, "NumberOfFrames", "PerFrameFunctionalGroupsSequence")
    shape = (1, *source.geometry.shape[-2:])
    binary = facts["segmentation_type"] == "BINARY"
    samples = np.zeros((*shape, len(segments)) if binary else shape, np.uint8)
    spacing = tuple(_short(v) for v in source.geometry.spacing)
    options = {**facts, "omit_empty_frames": False}
    stack = source.geometry.ndim == 3
    if source.placed:
        step = spacing[2] if stack else float(header.get("SliceThickness") or 1.0)
        options["pixel_measures"] = hd.PixelMeasuresSequence((spacing[1], spacing[0]), step, step if stack else None)
        # highdicom asks for these, be they given or not; a slice that says no direction lies axially.
        if not header.get("SliceThickness"):
            header.SliceThickness = step
        if stack and "NumberOfFrames" not in instance and not header.get("ImageOrientationPatient"):
            header.ImageOrientationPatient = [_short(v) for v in np.array(source.geometry.direction).T[:2].ravel()]
    elif "FrameOfReferenceUID" in header:
        del header.FrameOfReferenceUID
    if "NumberOfFrames" in instance:
        header.NumberOfFrames = 1
        if source.placed and at.position is not None and position_of(instance, at.frame) is None:
            # One position for all frames (nuclear medicine, old multi-frame files): each is a slice of its own.
            del header.NumberOfFrames
            header.ImagePositionPatient = [_short(v) for v in at.position]
            header.ImageOrientationPatient = [_short(v) for v in np.array(source.geometry.direction).T[:2].ravel()]
            header.PixelSpacing = [spacing[1], spacing[0]]
        elif source.placed:
            header.PerFrameFunctionalGroupsSequence = [instance.PerFrameFunctionalGroupsSequence[at.frame]]
        else:
            # Film loops have no functional groups, and highdicom asks every multi-frame instance for them.
            shared = Dataset()
            shared.PixelMeasuresSequence = hd.PixelMeasuresSequence((spacing[1], spacing[0]), None)
            header.SharedFunctionalGroupsSequence = [shared]
    made = hd.seg.Segmentation([header], samples, **options)
    if source.placed and stack:
        # highdicom computes it from the slices that it is given, and so leaves it out.
        made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = spacing[2]
    if not source.geometry.spacing_known and "NumberOfFrames" in instance and not source.placed:
        del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    return made


def _copied(header: Any, *replaced: str) -> Any:
    """A header with the same elements but those of ``replaced``: pydicom sets a present element's value in place."""
    from pydicom.dataset import Dataset

    made = Dataset()
    made.update(header)
    for keyword in replaced:
        if keyword in made:
            del made[keyword]
    made.file_meta = header.file_meta
    return made


def _short(value: float) -> float:
    """A number that fits the 16 characters of a decimal string."""
    return float(f"{value:.10g}")


class _Filler:
    """Puts frames in place of those of the pattern."""

    def __init__(self, made: Any, source: Source, planes: list[int]) -> None:
        self._made, self._source = made, source
        self._loop = not source.placed and "NumberOfFrames" in source.instances[0]
        self._patterns = list(made.PerFrameFunctionalGroupsSequence)
        self._place = {plane: number for number, plane in enumerate(planes, start=1)}
        self._common = {plane: self._elements(plane) for plane in planes}
        self._items: list[Any] = []
        self._packer = _Packer(made)

    def add(self, pattern: int, plane: int, parts: list[Part]) -> None:
        """Add a frame like the one of ``pattern`` with the samples of ``parts``."""
        from pydicom.dataset import Dataset

        item, content = Dataset(), Dataset()
        item.update(self._patterns[pattern])
        item.update(self._common[plane])
        values = item.FrameContentSequence[0].get("DimensionIndexValues", [])
        values = [values] if isinstance(values, int) else list(values)
        if self._source.placed:
            values[-1] = self._place[plane]
        elif self._loop:
            content.StackID, content.InStackPositionNumber = "1", self._source.planes[plane].frame + 1
            values.append(self._place[plane])
        content.DimensionIndexValues = values
        del item.FrameContentSequence
        item.FrameContentSequence = [content]
        self._items.append(item)
        self._packer.add(parts)

    def finish(self) -> None:
        """Put the frames into the object, and refer to all instances that they come from."""
        made, source = self._made, self._source
        if not self._items:
            # Without any voxel the pattern itself is the object, whose one slice must have the loop's index, too.
            for pattern in range(len(self._patterns)):
                self.add(pattern, next(iter(self._place)), [])
        made.PerFrameFunctionalGroupsSequence = self._items
        made.NumberOfFrames = len(self._items)
        made.PixelData = self._packer.data()
        if self._loop:
            self._add_dimension()
        used = sorted({source.planes[plane].instance for plane in self._place})
        made.SourceImageSequence = [self._reference(index) for index in used]
        made.ReferencedSeriesSequence[0].ReferencedInstanceSequence = [self._reference(index) for index in used]

    def _elements(self, plane: int) -> Any:
        """What all frames of a slice have in common: their source and their place."""
        from pydicom.dataset import Dataset

        at = self._source.planes[plane]
        header = self._source.instances[at.instance]
        made = Dataset()
        derivations = deepcopy(self._patterns[0].get("DerivationImageSequence") or [])
        for derivation in derivations:
            image = derivation.SourceImageSequence[0]
            image.ReferencedSOPInstanceUID = header.SOPInstanceUID
            if "NumberOfFrames" in header:
                image.ReferencedFrameNumber = at.frame + 1
        if derivations:
            made.DerivationImageSequence = derivations
        if at.position is not None:
            position = Dataset()
            position.ImagePositionPatient = [_short(v) for v in at.position]
            made.PlanePositionSequence = [position]
        return made

    def _reference(self, index: int) -> Any:
        from pydicom.dataset import Dataset

        made = Dataset()
        made.ReferencedSOPClassUID = self._source.instances[index].SOPClassUID
        made.ReferencedSOPInstanceUID = self._source.instances[index].SOPInstanceUID
        return made

    def _add_dimension(self) -> None:
        from pydicom.datadict import tag_for_keyword
        from pydicom.dataset import Dataset

        pointer = Dataset()
        pointer.DimensionIndexPointer = tag_for_keyword("InStackPositionNumber")
        pointer.FunctionalGroupPointer = tag_for_keyword("FrameContentSequence")
        pointer.DimensionOrganizationUID = self._made.DimensionIndexSequence[0].DimensionOrganizationUID
        pointer.DimensionDescriptionLabel = "In-Stack Position Number"
        self._made.DimensionIndexSequence = [*self._made.DimensionIndexSequence, pointer]


class _Packer:
    """Encodes frames one after the other, so that never all of them are in memory as samples.

    Bits follow each other across frames (PS3.5 8.1.1), hence in groups of eight frames, which fill whole bytes.
    """

    def __init__(self, made: Any) -> None:
        self._made = made
        self._binary = made.SegmentationType == "BINARY"
        dtype = np.dtype(np.uint8 if made.BitsAllocated <= 8 else "<u2")
        self._group = np.zeros((8 if self._binary else 1, int(made.Rows), int(made.Columns)), dtype)
        self._filled = 0
        self._parts: list[bytes] = []

    def add(self, parts: list[Part]) -> None:
        """Encode a frame."""
        frame = self._group[self._filled]
        for (rows, columns), mask, value in parts:
            frame[rows, columns][mask != 0] = value
        self._filled += 1
        if self._filled == len(self._group):
            self._flush()

    def data(self) -> bytes:
        """The value of Pixel Data."""
        if self._filled:
            self._flush()
        if self._made.file_meta.TransferSyntaxUID.is_encapsulated:
            from pydicom.encaps import encapsulate

            return bytes(encapsulate(self._parts))
        data = b"".join(self._parts)
        return data + b"\0" * (len(data) % 2)

    def _flush(self) -> None:
        group = self._group[: self._filled]
        made = self._made
        if self._binary:
            self._parts.append(np.packbits(group.ravel(), bitorder="little").tobytes())
        elif made.file_meta.TransferSyntaxUID.is_encapsulated:
            from highdicom.frame import encode_frame

            syntax, bits, stored = made.file_meta.TransferSyntaxUID, made.BitsAllocated, made.BitsStored
            kind = made.PhotometricInterpretation
            self._parts.append(encode_frame(group[0], syntax, bits, stored, kind, made.PixelRepresentation))
        else:
            self._parts.append(group.tobytes())
        group[...] = 0
        self._filled = 0


def _description(hd: Any, segment: Segment) -> Any:
    from pydicom.sr.codedict import codes

    algorithm = segment.algorithm or UNKNOWN_ALGORITHM
    codes_of = segment.coded
    identification = hd.AlgorithmIdentificationSequence(
        name=algorithm.name[:_LONGEST_LABEL],
        version=algorithm.version[:_LONGEST_LABEL],
        family=codes.DCM.ArtificialIntelligence,
    )
    made = hd.seg.SegmentDescription(
        segment_number=segment.label,
        segment_label=_line(segment.name)[:_LONGEST_LABEL],
        segmented_property_category=_concept(hd, codes_of.category),
        segmented_property_type=_concept(hd, codes_of.type),
        algorithm_type=algorithm.type,
        algorithm_identification=None if algorithm.type == "MANUAL" else identification,
        tracking_uid=segment.tracking_uid or _uid(),
        tracking_id=_line(segment.tracking_id or segment.name)[:_LONGEST_LABEL],
    )
    if codes_of.modifier is not None:
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            _concept(hd, codes_of.modifier)
        ]
    if len(segment.name) > _LONGEST_LABEL:
        made.SegmentDescription = segment.name[:1024]
    if segment.colour is not None:
        made.RecommendedDisplayCIELabValue = cielab_of(segment.colour)
    return made


def _line(text: str) -> str:
    """A text that one value of a DICOM attribute can hold: a backslash would part it into two."""
    return " ".join(text.replace("\\", "/").split()) or "segment"


def _concept(hd: Any, code: Code) -> Any:
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _uid() -> str:
    from pydicom.uid import generate_uid

    # Prefix None: a UUID (PS3.5 B.2), which needs no registered root.
    return str(generate_uid(prefix=None))


def _syntax(seg_type: SegType, compress: bool) -> str:
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    return str(RLELossless if compress and seg_type == "labelmap" else ExplicitVRLittleEndian)


def _deflated() -> Any:
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    return DeflatedExplicitVRLittleEndian
