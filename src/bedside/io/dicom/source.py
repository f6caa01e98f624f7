"""The instances that an image was read from, slice by slice, for objects that refer to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.walking import files_below
from bedside.io.quiet import quiet

PLANE_TOLERANCE = 0.1
"""How far a slice may lie from its place on the image's grid, in voxels: positions are rounded."""

BLANK = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""What every object of a study names of the patient and the study, be it empty."""
_NO_SAMPLES = ("SEG", "RTSTRUCT", "PR", "KO", "SR", "REG", "RTPLAN")


@dataclass(frozen=True)
class Plane:
    """Where a slice of the image, or the picture, is stored.

    Attributes:
        instance: Index in ``Source.instances``.
        frame: Index in a multi-frame instance, from 0; 0 otherwise.
    """

    instance: int
    frame: int


@dataclass(frozen=True, eq=False)
class Source:
    """The instances of one image.

    Attributes:
        instances: Headers without samples, each of a SOP instance, all of one series.
        planes: One for each slice of the image, in its order; one for a picture.
        geometry: The image's grid, (z, y, x) or (y, x).
        placed: Whether the slices have positions in the patient.
    """

    instances: tuple[Any, ...]
    planes: tuple[Plane, ...]
    geometry: Geometry
    placed: bool

    def plane_of(self, uid: str, frame: int | None) -> int | None:
        """The slice whose instance is ``uid`` (and whose frame is ``frame``, from 1); None where none is."""
        for index, plane in enumerate(self.planes):
            if self.instances[plane.instance].SOPInstanceUID == uid and frame in (None, plane.frame + 1):
                return index
        return None


def find_source(image: Image, *, volume: int | None = None, loop: bool = False) -> Source:
    """The instances that ``image`` was read from, by its path and its SeriesInstanceUID.

    Headers are read once more; samples are not.

    Args:
        image: Read from DICOM by ``read_image``.
        volume: The volume or frame that was read, where the series holds several at the same place.
        loop: Take all frames of the film loop of which ``image`` is one, so that masks are (frame, y, x).

    Raises:
        InputError: The image does not come from DICOM files.
        FormatError: Slices without an instance, several instances for a slice and no choice, or no study.
    """
    uid = image.metadata.get("series_uid")
    if image.source is None or not uid:
        raise InputError(
            "source images",
            expected="an image read from DICOM files",
            got=image.source or "an array",
            fix="write .nii.gz instead, or segment the DICOM files themselves",
        )
    with quiet():
        found = _find(Path(image.source), str(uid), image.geometry, 0 if loop else volume)
    return _whole_loop(found) if loop else found


def _whole_loop(source: Source) -> Source:
    if source.placed:
        raise InputError("film loop", expected="pictures without positions", got="slices of a volume")
    frames = _frames(source.instances[0])
    known = (*source.geometry.spacing, 1.0) if source.geometry.spacing_known else None
    geometry = Geometry.create((frames, *source.geometry.shape), known)
    return Source(source.instances[:1], tuple(Plane(0, i) for i in range(frames)), geometry, placed=False)


def _find(path: Path, uid: str, geometry: Geometry, volume: int | None) -> Source:
    place = path.parent if path.name.upper() == "DICOMDIR" else path
    headers = list(_headers(place, uid))
    if not headers:
        raise FormatError(f"{path}: source images", expected="the files that the image was read from", got="none")
    if not headers[0].get("StudyInstanceUID"):
        raise FormatError(f"{path}: source images", expected="a StudyInstanceUID", got="none", fix="add it")
    slots = _slots(headers, geometry)
    placed = bool(slots)
    if not placed:
        slots = {0: [Plane(i, f) for i, h in enumerate(headers) for f in range(_frames(h))]}
    count = geometry.shape[0] if geometry.ndim == 3 else 1
    planes = tuple(_choose(path, slots, index, volume) for index in range(count))
    if placed and not headers[0].get("FrameOfReferenceUID"):
        raise FormatError(f"{path}: source images with positions", expected="a FrameOfReferenceUID", got="none")
    used = sorted({p.instance for p in planes})
    moved = {old: new for new, old in enumerate(used)}
    instances = tuple(_completed(headers[i]) for i in used)
    return Source(instances, tuple(Plane(moved[p.instance], p.frame) for p in planes), geometry, placed)


def position_of(header: Any, frame: int) -> NDArray[np.float64] | None:
    """Centre of the first sample of a frame, LPS mm (3,); None where the header does not say."""
    macro: Any = header
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if groups and "PlanePositionSequence" in groups[frame]:
        macro = groups[frame].PlanePositionSequence[0]
    elif _frames(header) > 1:
        return None
    elif header.get("SharedFunctionalGroupsSequence"):
        shared = header.SharedFunctionalGroupsSequence[0]
        macro = shared.PlanePositionSequence[0] if "PlanePositionSequence" in shared else header
    value = macro.get("ImagePositionPatient")
    return None if value is None or len(value) != 3 else np.array([float(v) for v in value])


def _headers(place: Path, uid: str) -> Iterator[Any]:
    seen = set()
    found = []
    for file in files_below(place):
        header = _header(file)
        if header is None or str(header.get("SeriesInstanceUID", "unknown")) != uid or "Rows" not in header:
            continue
        instance = str(header.get("SOPInstanceUID", ""))
        if instance and instance not in seen and header.get("Modality") not in _NO_SAMPLES:
            seen.add(instance)
            found.append((int(header.get("InstanceNumber") or 0), str(file), header))
    yield from (header for _, _, header in sorted(found, key=lambda item: item[:2]))


def _header(file: Path) -> Any | None:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return dcmread(file, stop_before_pixels=True, force=file.suffix.lower() in (".dcm", ".dicom", ".ima"))
    except (InvalidDicomError, OSError, ValueError, KeyError, EOFError):
        return None


def _slots(headers: Sequence[Any], geometry: Geometry) -> dict[int, list[Plane]]:
    """Frames by the slice at whose place they lie; empty where no frame has a position."""
    slots: dict[int, list[Plane]] = {}
    placed = False
    for i, header in enumerate(headers):
        for frame in range(_frames(header)):
            position = position_of(header, frame)
            if position is None:
                continue
            placed = True
            if geometry.ndim == 2:
                slots.setdefault(0, []).append(Plane(i, frame))
                continue
            index = geometry.world_to_index(position)
            slot = round(float(index[2]))
            # Beside the normal ten times as much: a drift of a quarter of a pixel is within what the reader takes.
            if np.abs(index - [0, 0, slot]).max() <= 0.5 and abs(index[2] - slot) <= PLANE_TOLERANCE:
                slots.setdefault(slot, []).append(Plane(i, frame))
    if placed and not slots:
        slots[-1] = []
    return slots


def _choose(path: Path, slots: dict[int, list[Plane]], index: int, volume: int | None) -> Plane:
    fitting = slots.get(index, [])
    if not fitting:
        raise FormatError(f"{path}: slice {index}", expected="an instance of the series at its place", got="none")
    if volume is None and len(fitting) > 1:
        raise FormatError(
            f"{path}: slice {index} has {len(fitting)} instances or frames at its place",
            fix="choose with --volume, as for reading the image",
        )
    if volume is not None and volume >= len(fitting):
        # One of several volumes that lie at different places has its place to itself.
        if len(fitting) == 1:
            return fitting[0]
        raise FormatError(f"{path}: volume {volume}", expected=f"0 to {len(fitting) - 1}", got=volume)
    return fitting[volume or 0]


def _frames(header: Any) -> int:
    return int(header.get("NumberOfFrames") or 1)


def _completed(header: Any) -> Any:
    """The header with the attributes that every object of the study must name, empty where they are unknown."""
    for keyword in BLANK:
        if keyword not in header:
            setattr(header, keyword, "")
    return header
