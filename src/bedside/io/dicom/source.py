"""The instances that an image was read from, slice by slice, for objects that refer to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.dicom.frame import Frame
from bedside.io.dicom.partition import Volume, main_volume, volumes_of
from bedside.io.dicom.series import find_series
from bedside.io.quiet import quiet
from bedside.io.samples import pick_volume

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
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID")
_ADD = "add it (dcmtk: dcmodify -i), or write .nii.gz instead"


@dataclass(frozen=True)
class Plane:
    """Where a slice of the image, or the picture, is stored.

    Attributes:
        instance: Index in ``Source.instances``.
        frame: Index in a multi-frame instance, from 0; 0 otherwise.
        position: Centre of its first sample, LPS mm; None where it has no place in the patient.
    """

    instance: int
    frame: int
    position: tuple[float, float, float] | None = None


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
        volume: The volume or frame that was read, numbered as for reading.
        loop: Take all frames of the film loop of which ``image`` is one, so that masks are (frame, y, x).

    Raises:
        InputError: The image does not come from DICOM files.
        FormatError: Slices without an instance or without an identifier, several volumes that fit and no choice, or
            no study.
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
        found = _find(image, Path(image.source), str(uid), 0 if loop else volume)
    return _whole_loop(found) if loop else found


def _whole_loop(source: Source) -> Source:
    if source.placed:
        raise InputError("film loop", expected="pictures without positions", got="slices of a volume")
    frames = _frames(source.instances[0])
    known = (*source.geometry.spacing, 1.0) if source.geometry.spacing_known else None
    geometry = Geometry.create((frames, *source.geometry.shape), known)
    return Source(source.instances[:1], tuple(Plane(0, i) for i in range(frames)), geometry, placed=False)


def _find(image: Image, path: Path, uid: str, volume: int | None) -> Source:
    place = path.parent if path.name.upper() == "DICOMDIR" else path
    series = next((s for s in find_series(place) if s.uid == uid), None)
    if series is None:
        raise FormatError(f"{path}: source images", expected="the files that the image was read from", got="none")
    if image.ndim == 3 and not image.geometry.spacing_known:
        raise FormatError(f"{path}: source images with positions", expected="a PixelSpacing", got="none", fix=_ADD)
    frames = _frames_of(path, image, volumes_of(path, series.frames), volume)
    placed = frames[0].position is not None
    headers = _headers(path, frames)
    order = sorted(headers, key=lambda file: (int(headers[file].get("InstanceNumber") or 0), str(file)))
    first = headers[order[0]]
    for keyword in _NEEDED:
        if not first.get(keyword):
            raise FormatError(f"{path}: source images", expected=f"a {keyword}", got="none", fix=_ADD)
    if placed and not first.get("FrameOfReferenceUID"):
        raise FormatError(f"{path}: source images with positions", expected="a FrameOfReferenceUID", got="none")
    number = {file: index for index, file in enumerate(order)}
    planes = tuple(Plane(number[f.path], f.index, _numbers(f.position)) for f in frames)
    return Source(tuple(_completed(headers[file]) for file in order), planes, image.geometry, placed)


def _numbers(position: NDArray[np.float64] | None) -> tuple[float, float, float] | None:
    return None if position is None else (float(position[0]), float(position[1]), float(position[2]))


def _frames_of(path: Path, image: Image, volumes: Sequence[Volume], volume: int | None) -> tuple[Frame, ...]:
    """Return the frames of the volume that ``image`` holds, slice by slice.

    Volumes are numbered as for reading. Without a number it is the one of the image's name (an echo, a phase), or the
    only one that lies where the image does.
    """
    if volume is not None:
        chosen = volumes[pick_volume(path, len(volumes), volume)]
        return _on_grid(path, image.geometry, chosen.frames)
    name = image.metadata.get("volume")
    # What cannot be told apart cannot be referred to, and is told as for several volumes.
    named = [v for v in volumes if v.problem is None and (name is None or v.name == name)]
    fitting = [frames for v in named if (frames := _fitting(image.geometry, v.frames)) is not None]
    main = main_volume(volumes)
    if len(fitting) > 1 and main is not None and _fitting(image.geometry, main.frames) is not None:
        return _on_grid(path, image.geometry, main.frames)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise FormatError(
            f"{path}: slice 0 has {len(fitting)} instances or frames at its place",
            fix="choose with --volume, as for reading the image (volume= in Python)",
        )
    return _on_grid(path, image.geometry, [f for v in volumes for f in v.frames])


def _fitting(grid: Geometry, frames: Sequence[Frame]) -> tuple[Frame, ...] | None:
    """Return one frame for each slice of a grid, in its order; None where one lacks or a slice has several."""
    slots = _slots(grid, frames)
    count = grid.shape[0] if grid.ndim == 3 else 1
    if any(len(slots.get(index, ())) != 1 for index in range(count)):
        return None
    return tuple(slots[index][0] for index in range(count))


def _on_grid(path: Path, grid: Geometry, frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Return one frame for each slice of a grid, in its order.

    Raises:
        FormatError: None, or several, at the place of a slice.
    """
    found = _fitting(grid, frames)
    if found is not None:
        return found
    slots = _slots(grid, frames)
    index = next(i for i in range(grid.shape[0] if grid.ndim == 3 else 1) if len(slots.get(i, ())) != 1)
    count = len(slots.get(index, ()))
    if count == 0:
        raise FormatError(f"{path}: slice {index}", expected="an instance of the series at its place", got="none")
    raise FormatError(
        f"{path}: slice {index} has {count} instances or frames at its place",
        fix="choose with --volume, as for reading the image (volume= in Python)",
    )


def _slots(grid: Geometry, frames: Sequence[Frame]) -> dict[int, list[Frame]]:
    """Return frames by the slice of a grid at whose place they lie; a picture is slice 0."""
    slots: dict[int, list[Frame]] = {}
    for frame in frames:
        if grid.ndim == 2:
            if frame.shape == grid.shape:
                slots.setdefault(0, []).append(frame)
            continue
        if frame.position is None or frame.shape != grid.shape[1:]:
            continue
        index = grid.world_to_index(frame.position)
        slot = round(float(index[2]))
        # Beside the normal ten times as much: a drift of a quarter of a pixel is within what the reader takes.
        if np.abs(index - [0, 0, slot]).max() <= 0.5 and abs(index[2] - slot) <= PLANE_TOLERANCE:
            slots.setdefault(slot, []).append(frame)
    return slots


def _headers(path: Path, frames: Sequence[Frame]) -> dict[Path, Any]:
    """Return the headers of the files of frames, without samples.

    Raises:
        FormatError: Files without an identifier of their own, by which alone an object can refer to them.
    """
    from pydicom import dcmread

    headers = {file: dcmread(file, stop_before_pixels=True, force=True) for file in {f.path for f in frames}}
    uids = [str(header.get("SOPInstanceUID") or "") for header in headers.values()]
    if "" in uids or len(set(uids)) < len(uids):
        raise FormatError(
            f"{path}: source images",
            expected="a SOPInstanceUID of its own in each file",
            got="none" if "" in uids else f"{len(set(uids))} for {len(uids)} files",
            fix="write .nii.gz instead, or give them new ones (dcmtk: dcmodify -gin)",
        )
    return headers


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


def _frames(header: Any) -> int:
    return int(header.get("NumberOfFrames") or 1)


def _completed(header: Any) -> Any:
    """The header with the attributes that every object of the study must name, empty where they are unknown."""
    for keyword in BLANK:
        if keyword not in header:
            setattr(header, keyword, "")
    return header
