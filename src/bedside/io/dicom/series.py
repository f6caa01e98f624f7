"""Finding the images among DICOM files and grouping them into series, by their headers alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError

_PREAMBLE_BYTES = 128
_OLD_SUFFIXES = (".dcm", ".dicom", ".ima")
# Objects with rows and columns that are about images and not images themselves.
_NO_IMAGES = ("SEG", "PR", "KO", "SR", "REG", "RTSTRUCT", "RTPLAN")
_MODALITIES = {"PT": "PET", "MG": "Mammography"}
_CENTIMETRES = 3


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice or picture: where its samples are stored and where it lies.

    Attributes:
        path: Its file.
        index: Its place in a multi-frame file, 0 otherwise.
        number: InstanceNumber, for telling apart volumes that share positions.
        shape: (rows, columns).
        position: Centre of its first sample, LPS mm, (3,); None where the file does not say.
        orientation: Directions along a row and along a column, (2, 3); None where the file does not say.
        pixel_spacing: mm between rows and between columns; None where unknown.
        thickness: mm between slices, as the file claims; None where it does not.
        slope: Rescale slope.
        intercept: Rescale intercept.
    """

    path: Path
    index: int
    number: int
    shape: tuple[int, int]
    position: NDArray[np.float64] | None
    orientation: NDArray[np.float64] | None
    pixel_spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float

    @property
    def name(self) -> str:
        """File name, with the frame's number in a multi-frame file."""
        return f"{self.path.name}[{self.index}]" if self.index else self.path.name


@dataclass(eq=False)
class Series:
    """The frames of one SeriesInstanceUID, in no order."""

    uid: str
    number: str
    description: str
    modality: str | None
    metadata: dict[str, Any]
    frames: list[Frame] = field(default_factory=list)

    def __str__(self) -> str:
        title = f" '{self.description}'" if self.description else ""
        images = f"{len(self.frames)} image{'s' if len(self.frames) != 1 else ''}"
        return f"{self.number or '?'}{title} ({self.modality or 'unknown modality'}, {images}, {self.uid})"


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's preamble."""
    with path.open("rb") as file:
        return file.read(_PREAMBLE_BYTES + 4)[_PREAMBLE_BYTES:] == b"DICM"


def find_series(path: Path) -> list[Series]:
    """The series with images in a file, or in a folder and those below it, in the order of their numbers."""
    found: dict[str, Series] = {}
    seen: set[str] = set()
    for file in _candidates(path):
        dataset = _header(file)
        if dataset is None or dataset.get("Modality") in _NO_IMAGES:
            continue
        # The same object stored twice is one object.
        instance = str(dataset.get("SOPInstanceUID", file))
        if instance in seen:
            continue
        seen.add(instance)
        uid = str(dataset.get("SeriesInstanceUID", "unknown"))
        found.setdefault(uid, _series(uid, dataset)).frames.extend(_frames(file, dataset))
    return sorted(found.values(), key=lambda s: (s.number == "", s.number.zfill(12), s.uid))


def choose_series(path: Path, series: list[Series], choice: str | None) -> Series:
    """The series that ``choice`` names by UID, number or description; the only one where nothing is chosen.

    Raises:
        FormatError: There is no image, several series and no choice, or a choice that fits none or several.
    """
    if not series:
        raise FormatError(f"{path}: no DICOM image here", got=_kind(path), fix="give an image, or a folder with images")
    listing = "; ".join(map(str, series))
    if choice is None:
        if len(series) > 1:
            raise FormatError(
                f"{path} holds {len(series)} series: {listing}",
                fix="choose one with --series (number, description or UID)",
            )
        return series[0]
    wanted = choice.strip()
    # A UID is exact, a number may stand for several series, and so may a description.
    for fits in (
        [s for s in series if s.uid == wanted],
        [s for s in series if s.number == wanted],
        [s for s in series if s.description.lower() == wanted.lower()],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            several = "; ".join(map(str, fits))
            raise FormatError(f"{path}: series '{choice}' names {len(fits)} series: {several}", fix="choose by the UID")
    raise FormatError(f"{path}: no series '{choice}'", expected=f"one of: {listing}")


def _candidates(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith("."))


def _header(path: Path) -> Any | None:
    """Everything before the samples; None where the file is no DICOM image."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    # Files from before the preamble was required are known by their suffix only.
    bare = path.suffix.lower() in _OLD_SUFFIXES
    try:
        if not (is_dicom(path) or bare):
            return None
        dataset = dcmread(path, stop_before_pixels=True, force=bare)
    except (InvalidDicomError, OSError, ValueError, KeyError, EOFError):
        return None
    return dataset if "Rows" in dataset and "Columns" in dataset else None


def _kind(path: Path) -> str | None:
    """What a DICOM file holds instead of an image; None where that cannot be said."""
    from pydicom import dcmread

    if not path.is_file() or not is_dicom(path):
        return None
    uid = dcmread(path, stop_before_pixels=True).get("SOPClassUID")
    return None if uid is None else str(uid.name)


def _series(uid: str, dataset: Any) -> Series:
    modality = str(dataset.get("Modality") or "") or None
    metadata: dict[str, Any] = {
        "series_uid": uid,
        "series_number": _text(dataset.get("SeriesNumber")),
        "series_description": _text(dataset.get("SeriesDescription")),
        "study_uid": _text(dataset.get("StudyInstanceUID")),
        "frame_of_reference_uid": _text(dataset.get("FrameOfReferenceUID")),
    }
    centre, width = (_first_number(dataset.get(k)) for k in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None:
        metadata["window"] = (centre, width)
    return Series(
        uid=uid,
        number=metadata["series_number"],
        description=metadata["series_description"],
        modality=_MODALITIES.get(modality, modality) if modality else None,
        metadata=metadata,
    )


def _frames(path: Path, dataset: Any) -> Iterator[Frame]:
    count = int(dataset.get("NumberOfFrames") or 1)
    for index in range(count):
        yield _frame(path, dataset, index, count)


def _frame(path: Path, dataset: Any, index: int, count: int) -> Frame:
    measures = _macro(dataset, index, "PixelMeasuresSequence")
    values = _macro(dataset, index, "PixelValueTransformationSequence")
    position, orientation = _placement(dataset, index, count)
    slope = _first_number(values.get("RescaleSlope"))
    if slope is None:
        slope = _first_number(dataset.get("DoseGridScaling"))
    return Frame(
        path=path,
        index=index,
        number=int(_first_number(dataset.get("InstanceNumber")) or 0) if count == 1 else index,
        shape=(int(dataset.Rows), int(dataset.Columns)),
        position=position,
        orientation=orientation,
        pixel_spacing=_pixel_spacing(dataset, measures),
        thickness=_positive(measures.get("SpacingBetweenSlices")) or _positive(measures.get("SliceThickness")),
        slope=1.0 if slope is None else slope,
        intercept=_first_number(values.get("RescaleIntercept")) or 0.0,
    )


def _placement(dataset: Any, index: int, count: int) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Position (3,) and orientation (2, 3) of a frame, both None where the file gives no position."""
    position = _vector(_macro(dataset, index, "PlanePositionSequence").get("ImagePositionPatient"), 3)
    orientation = _vector(_macro(dataset, index, "PlaneOrientationSequence").get("ImageOrientationPatient"), 6)
    if position is None:
        return None, None
    axes = (np.array([1.0, 0, 0, 0, 1, 0]) if orientation is None else orientation).reshape(2, 3)
    if count > 1 and "PerFrameFunctionalGroupsSequence" not in dataset:
        # One position for all frames: only a dose grid says how far the others are from the first.
        offsets = _vector(dataset.get("GridFrameOffsetVector"), count)
        if offsets is None:
            return None, None
        position = position + np.cross(axes[0], axes[1]) * (offsets[index] - offsets[0])
    return position, axes


def _macro(dataset: Any, index: int, name: str) -> Any:
    """The part of the header that describes a frame: its own, the shared one, or the whole header of old files."""
    own = dataset.get("PerFrameFunctionalGroupsSequence")
    for group in (
        own[index] if own and index < len(own) else None,
        *(dataset.get("SharedFunctionalGroupsSequence") or ()),
    ):
        if group is not None and group.get(name):
            return group[name].value[0]
    return dataset


def _pixel_spacing(dataset: Any, measures: Any) -> tuple[float, float] | None:
    """Millimetres between rows and columns, in the patient where the file knows it, else at the detector."""
    for values in (
        measures.get("PixelSpacing"),
        dataset.get("PixelSpacing"),
        dataset.get("ImagerPixelSpacing"),
        dataset.get("NominalScannedPixelSpacing"),
    ):
        spacing = _vector(values, 2)
        if spacing is not None and spacing.min() > 0:
            return float(spacing[0]), float(spacing[1])
    return _ultrasound_spacing(dataset)


def _ultrasound_spacing(dataset: Any) -> tuple[float, float] | None:
    """Millimetres between rows and columns of an ultrasound picture with one calibrated region."""
    regions = list(dataset.get("SequenceOfUltrasoundRegions") or ())
    if len(regions) != 1:
        return None
    region = regions[0]
    if any(region.get(f"PhysicalUnits{axis}Direction") != _CENTIMETRES for axis in "XY"):
        return None
    x = 10 * abs(_first_number(region.get("PhysicalDeltaX")) or 0.0)
    y = 10 * abs(_first_number(region.get("PhysicalDeltaY")) or 0.0)
    return (y, x) if x > 0 and y > 0 else None


def _vector(value: Any, length: int) -> NDArray[np.float64] | None:
    if value is None or isinstance(value, str) or np.size(value) != length:
        return None
    try:
        vector = np.array([float(v) for v in value])
    except (TypeError, ValueError):
        return None
    return vector if np.all(np.isfinite(vector)) else None


def _first_number(value: Any) -> float | None:
    """A number, or the first of several; None where there is none."""
    if isinstance(value, str) or value is None:
        return None
    try:
        return float(np.ravel(np.asarray(value, dtype=np.float64))[0])
    except (TypeError, ValueError, IndexError):
        return None


def _positive(value: Any) -> float | None:
    number = _first_number(value)
    return abs(number) if number and np.isfinite(number) else None


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
