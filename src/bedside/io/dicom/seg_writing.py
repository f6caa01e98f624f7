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
from bedside.io.dicom.segments import Algorithm, Segment, SegmentSet
from bedside.io.dicom.source import Source, scrubbed
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
    _check(segments, source)
    hd = _highdicom()
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
            made = _make(hd, numbered, source, overlap is not None, facts)
            if seg_type == "binary":
                _repair_tiny(made)
            if compress and seg_type == "binary":
                made.file_meta.TransferSyntaxUID = _deflated()
            made.save_as(temporary, enforce_file_format=True)
    except (BedsideError, OSError):
        raise
    # What highdicom and pydicom say may quote the header of the image.
    except Exception as error:
        text = scrubbed(reason(error), source.instances[0])
        raise FormatError(f"{path} cannot be written as DICOM SEG", got=text) from None
    return tuple(notes)


def _highdicom() -> Any:
    try:
        import highdicom
    except ImportError as error:
        raise DependencyError("DICOM SEG", expected="highdicom", fix="pip install 'bedside[dicom]'") from error
    return highdicom


def _check(segments: Sequence[Segment], source: Source) -> None:
    if not segments:
        raise InputError("segments", expected="at least one", got="none")
    for segment in segments:
        inside = segment.region.clip(source.geometry.shape) == segment.region
        if len(segment.region.start) != source.geometry.ndim or not inside:
            raise InputError(
                f"segment '{segment.name}'", expected=f"voxels in {source.geometry.shape}", got=segment.region
            )


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


def _make(hd: Any, segments: list[Segment], source: Source, overlap: bool, facts: dict[str, Any]) -> Any:
    if not source.placed:
        return _pictures(hd, segments, source, overlap, facts)
    samples, planes = _samples(segments, source, overlap)
    images = [source.instances[source.planes[p].instance] for p in planes]
    first = images[0]
    spacing = source.geometry.spacing
    step = spacing[2] if source.geometry.ndim == 3 else float(first.get("SliceThickness") or 1.0)
    facts["pixel_measures"] = hd.PixelMeasuresSequence(
        (_short(spacing[1]), _short(spacing[0])), _short(step), _short(step) if source.geometry.ndim == 3 else None
    )
    enhanced = "NumberOfFrames" in first
    made = hd.seg.Segmentation([_excerpt(source, planes)] if enhanced else images, samples, **facts)
    if enhanced:
        _refer(made, source, planes)
    if source.geometry.ndim == 3:
        _restore_step(made, _short(step), planes)
    return made


def _restore_step(made: Any, step: float, planes: list[int]) -> None:
    """State the distance of the image's slices, where highdicom states that of the slices with a segment."""
    made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = step
    if planes != list(range(planes[0], planes[-1] + 1)) and "DimensionOrganizationType" in made:
        del made.DimensionOrganizationType


def _excerpt(source: Source, planes: list[int]) -> Any:
    """A multi-frame header with the frames of ``planes`` alone: highdicom takes one, with one frame at each place."""
    chosen = [source.planes[p] for p in planes]
    header = _copied(source.instances[chosen[0].instance])
    header.PerFrameFunctionalGroupsSequence = [
        source.instances[p.instance].PerFrameFunctionalGroupsSequence[p.frame] for p in chosen
    ]
    header.NumberOfFrames = len(chosen)
    return header


def _copied(header: Any) -> Any:
    """A header whose elements can be replaced without a change of the first one's."""
    from pydicom.dataset import Dataset

    made = Dataset()
    made.update(header)
    made.file_meta = header.file_meta
    return made


def _refer(made: Any, source: Source, planes: list[int]) -> None:
    """Make frames refer to the instances and frames of ``source`` and not to those of its excerpt."""
    done = set()  # Frames of several segments at one place share their item.
    for item in made.PerFrameFunctionalGroupsSequence:
        for derivation in item.get("DerivationImageSequence", ()):
            for image in derivation.SourceImageSequence:
                if id(image) in done:
                    continue
                done.add(id(image))
                plane = source.planes[planes[int(image.ReferencedFrameNumber) - 1]]
                image.ReferencedSOPInstanceUID = source.instances[plane.instance].SOPInstanceUID
                image.ReferencedFrameNumber = plane.frame + 1
    used = sorted({source.planes[p].instance for p in planes})
    first = made.SourceImageSequence[0]
    references = []
    for index in used:
        reference = deepcopy(first)
        reference.ReferencedSOPInstanceUID = source.instances[index].SOPInstanceUID
        references.append(reference)
    made.SourceImageSequence = references
    made.ReferencedSeriesSequence[0].ReferencedInstanceSequence = deepcopy(references)


def _short(value: float) -> float:
    """A number that fits the 16 characters of a decimal string."""
    return float(f"{value:.10g}")


def _samples(segments: list[Segment], source: Source, overlap: bool) -> tuple[NDArray[Any], list[int]]:
    """Samples of the slices that have any, (plane, y, x) or with an axis of segments, and which ones these are."""
    planes = sorted({z for segment in segments for z, _, _ in segment.slices()}) or [0]
    place = {z: index for index, z in enumerate(planes)}
    shape = (len(planes), *source.geometry.shape[-2:])
    if overlap:
        stacked = np.zeros((*shape, len(segments)), np.uint8)
        for index, segment in enumerate(segments):
            for z, (rows, columns), mask in segment.slices():
                stacked[place[z], rows, columns, index] = mask
        return stacked, planes
    labels = np.zeros(shape, np.uint8 if max(s.label for s in segments) <= 255 else np.uint16)
    for segment in segments:
        for z, (rows, columns), mask in segment.slices():
            labels[place[z], rows, columns][mask != 0] = segment.label
    return labels, planes


def _pictures(hd: Any, segments: list[Segment], source: Source, overlap: bool, facts: dict[str, Any]) -> Any:
    """SEG of a picture or of frames of a film loop, which have no place in the patient.

    highdicom takes one frame there; frames of the others are made after its pattern.
    """
    from pydicom.dataset import Dataset

    samples, planes = _samples(segments, source, overlap)
    header = _copied(source.instances[source.planes[planes[0]].instance])
    loop = "NumberOfFrames" in header
    if loop:
        header.NumberOfFrames = 1
        # Film loops have no functional groups, and highdicom asks every multi-frame instance for them.
        shared = Dataset()
        spacing = source.geometry.spacing
        shared.PixelMeasuresSequence = hd.PixelMeasuresSequence((_short(spacing[1]), _short(spacing[0])), None)
        header.SharedFunctionalGroupsSequence = [shared]
    if "FrameOfReferenceUID" in header:
        del header.FrameOfReferenceUID
    made = hd.seg.Segmentation([header], samples[:1], **{**facts, "omit_empty_frames": False})
    if loop:
        _extend(made, samples, [source.planes[p].frame + 1 for p in planes], [s.label for s in segments])
        if not source.geometry.spacing_known:
            del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    return made


def _extend(made: Any, samples: NDArray[Any], frames: list[int], labels: list[int]) -> None:
    """Put frames that refer to ``frames`` (from 1) of the source in place of the one frame (a segment) of the first."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataset import Dataset

    binary = made.SegmentationType == "BINARY"
    items, planes = [], []
    for index, label in enumerate(labels if binary else [0]):
        template = made.PerFrameFunctionalGroupsSequence[index]
        for plane, frame in enumerate(frames):
            if not binary:
                mask = samples[plane]
            else:
                mask = samples[plane, ..., index] if samples.ndim == 4 else samples[plane] == label
            if not mask.any() and len(frames) > 1:
                continue
            item = deepcopy(template)
            for derivation in item.get("DerivationImageSequence", ()):
                derivation.SourceImageSequence[0].ReferencedFrameNumber = frame
            content = item.FrameContentSequence[0]
            content.StackID, content.InStackPositionNumber = "1", frame
            values = content.get("DimensionIndexValues", [])
            content.DimensionIndexValues = [*([values] if isinstance(values, int) else values), frames.index(frame) + 1]
            items.append(item)
            planes.append(mask)
    made.PerFrameFunctionalGroupsSequence = items
    made.NumberOfFrames = len(items)
    pointer = Dataset()
    pointer.DimensionIndexPointer = tag_for_keyword("InStackPositionNumber")
    pointer.FunctionalGroupPointer = tag_for_keyword("FrameContentSequence")
    pointer.DimensionOrganizationUID = made.DimensionIndexSequence[0].DimensionOrganizationUID
    pointer.DimensionDescriptionLabel = "In-Stack Position Number"
    made.DimensionIndexSequence = [*made.DimensionIndexSequence, pointer]
    _replace_samples(made, np.stack(planes))


def _replace_samples(made: Any, planes: NDArray[Any]) -> None:
    if made.SegmentationType == "BINARY":
        packed = np.packbits(planes.astype(np.uint8).ravel(), bitorder="little").tobytes()
        made.PixelData = packed + b"\0" * (len(packed) % 2)
        return
    samples = planes.astype(np.uint8 if made.BitsAllocated == 8 else "<u2")
    if made.file_meta.TransferSyntaxUID.is_encapsulated:
        from highdicom.frame import encode_frame
        from pydicom.encaps import encapsulate

        made.PixelData = encapsulate(
            [
                encode_frame(
                    s,
                    made.file_meta.TransferSyntaxUID,
                    made.BitsAllocated,
                    made.BitsStored,
                    made.PhotometricInterpretation,
                    made.PixelRepresentation,
                )
                for s in samples
            ]
        )
        return
    data = samples.tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)


def _repair_tiny(made: Any) -> None:
    """Pack frames of less than a byte one after the other, as PS3.5 8.1.1 asks; highdicom 0.28 gives each a byte."""
    size = int(made.Rows) * int(made.Columns)
    if size >= 8 or int(made.NumberOfFrames) == 1 or made.get("FrameOfReferenceUID") is None:
        return
    packed = np.frombuffer(made.PixelData, np.uint8)[: int(made.NumberOfFrames), None]
    _replace_samples(made, np.unpackbits(packed, axis=1, bitorder="little")[:, :size])


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
