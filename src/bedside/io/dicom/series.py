"""Finding the images among DICOM files and grouping them into series, by their headers alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from bedside.core.errors import ChoiceError, FormatError
from bedside.core.walking import files_below
from bedside.io.dicom.frame import Frame
from bedside.io.dicom.headers import cut_off_series, frames_of, is_dicom, read_header
from bedside.io.dicom.patient import scrubbed
from bedside.io.dicom.pixels import read_frames
from bedside.io.dicom.times import over_midnight
from bedside.io.dicom.values import first_number, text
from bedside.io.translating import translated

__all__ = ["Frame", "Series", "choose_series", "find_series", "is_dicom"]

_MODALITIES = {"PT": "PET", "MG": "Mammography"}


@dataclass(eq=False)
class Series:
    """The frames of one SeriesInstanceUID, in no order.

    ``cut_off`` are files of it, or that may be of it, whose headers are not whole.
    """

    uid: str
    number: str
    description: str
    modality: str | None
    metadata: dict[str, Any]
    frames: list[Frame] = field(default_factory=list)
    cut_off: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        title = f" '{self.description}'" if self.description else ""
        images = f"{len(self.frames)} image{'s' if len(self.frames) != 1 else ''}"
        return f"{self.number or '?'}{title} ({self.modality or 'unknown modality'}, {images}, {self.uid})"


def find_series(path: Path) -> list[Series]:
    """Return the series with images in a file, or in a folder and those below it, in the order of their numbers.

    Files that are copies of each other (one SOPInstanceUID, one place, the same samples) count once.

    Raises:
        FormatError: A header of an image that cannot be understood.
    """
    found: dict[str, Series] = {}
    cut_off: list[tuple[Path, str]] = []
    for file in files_below(path):
        header = read_header(file)
        if header is None:
            if (uid := cut_off_series(file)) is not None:
                cut_off.append((file, uid))
            continue
        dataset, storage = header
        with translated(file, "DICOM"):
            uid = text(dataset.get("SeriesInstanceUID")) or "unknown"
            if uid not in found:
                found[uid] = _series(uid, dataset)
            found[uid].frames.extend(frames_of(dataset, storage))
    for series in found.values():
        series.frames = over_midnight(list(_without_copies(series.frames)))
        folders = {frame.path.parent for frame in series.frames}
        series.cut_off = [f for f, uid in cut_off if uid == series.uid or (not uid and f.parent in folders)]
    return sorted(found.values(), key=lambda s: (s.number == "", s.number.zfill(12), s.uid))


def choose_series(path: Path, series: list[Series], choice: str | None) -> Series:
    """Return the series that ``choice`` names by UID, number or description; the only one where nothing is chosen.

    Raises:
        ChoiceError: There are several series and no choice.
        FormatError: There is no image, or a choice that fits none or several.
    """
    if not series and path.is_file() and cut_off_series(path) is not None:
        raise FormatError(
            f"{path} was cut off", expected="a whole header", got="a part of it", fix="fetch or write it again"
        )
    if not series:
        raise FormatError(f"{path}: no DICOM image here", got=_kind(path), fix="give an image, or a folder with images")
    listing = "; ".join(map(str, series))
    if choice is None:
        if len(series) > 1:
            raise ChoiceError(
                f"{path} holds {len(series)} series: {listing}",
                option="series",
                choices="number, description or UID",
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


def _without_copies(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield one of the frames that agree in identifier, place, number, attributes and samples.

    An identifier alone proves nothing: careless anonymisation gives all slices of a series the same, or an empty one.
    """
    alike: dict[Any, list[Frame]] = {}
    for frame in frames:
        place = None if frame.position is None else tuple(np.round(frame.position, 4).tolist())
        same = (frame.uid, frame.index, place, frame.number, frame.shape, frozenset(frame.attributes.items()))
        alike.setdefault(same, []).append(frame)
    contents: dict[tuple[Path, bool], bytes] = {}
    for group in alike.values():
        seen: set[bytes] = set()
        # The same samples in another code are a copy, too.
        decoded = len({f.storage.syntax for f in group}) > 1 and not all(f.storage.plain for f in group)
        for frame in group:
            if len(group) > 1:
                key = frame.path, decoded and frame.storage.frames == 1
                if key not in contents:
                    contents[key] = _decoded(frame) if key[1] else _content(frame.path)
                content = contents[key]
                if content in seen:
                    continue
                seen.add(content)
            yield frame


def _content(path: Path) -> bytes:
    """Return a digest of the stored samples of a file."""
    from pydicom import dcmread

    try:
        dataset = dcmread(path, force=True)
        element = next(dataset.get(k) for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset)
        value = element.value if hasattr(element, "value") else element
        return blake2b(value, digest_size=16).digest()
    # A file whose samples cannot be found is no copy of anything; it is rejected when it is read.
    except Exception:
        return str(path).encode()


def _decoded(frame: Frame) -> bytes:
    """Return a digest of the samples of a file of one frame, whatever they are stored in."""
    try:
        samples = read_frames([frame], labels=True)
    except FormatError:
        return str(frame.path).encode()
    return blake2b(f"{samples.dtype}{samples.shape}".encode() + samples.tobytes(), digest_size=16).digest()


def _kind(path: Path) -> str | None:
    """Return what a DICOM file holds instead of an image; None where that cannot be said."""
    from pydicom import dcmread

    if not path.is_file() or not is_dicom(path):
        return None
    with translated(path, "DICOM"):
        uid = dcmread(path, stop_before_pixels=True, force=True).get("SOPClassUID")
    return None if uid is None else str(uid.name)


def _series(uid: str, dataset: Any) -> Series:
    modality = text(dataset.get("Modality")) or None
    metadata: dict[str, Any] = {
        "series_uid": uid,
        "series_number": text(dataset.get("SeriesNumber")),
        # Free text, which is shown in lists and messages.
        "series_description": scrubbed(text(dataset.get("SeriesDescription")), dataset),
        "study_uid": text(dataset.get("StudyInstanceUID")),
        "frame_of_reference_uid": text(dataset.get("FrameOfReferenceUID")),
    }
    centre, width = (first_number(dataset.get(k)) for k in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None:
        metadata["window"] = (centre, width)
    return Series(
        uid=uid,
        number=metadata["series_number"],
        description=metadata["series_description"],
        modality=_MODALITIES.get(modality, modality) if modality else None,
        metadata=metadata,
    )
