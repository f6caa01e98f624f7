"""DICOM images for tests of what refers to them: classic and enhanced series, pictures, film loops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

PLANTED = {
    "PatientName": "Quixote^Dulcinea",
    "PatientID": "HZ-4711-XQ",
    "PatientBirthDate": "19310407",
    "AccessionNumber": "ACC998877",
    "StudyDate": "20240229",
    "StudyID": "ST556677",
    "ReferringPhysicianName": "Panza^Sancho",
}
"""What no message, log or file name may show."""


def told(content: bytes | str) -> list[str]:
    """What of the planted patient stands in a text or a file; of names each part, in any case."""
    raw = (content.encode() if isinstance(content, str) else content).lower()
    values = []
    for value in PLANTED.values():
        values += value.split("^")
        if value.isdigit() and len(value) == 8:
            values += [f"{value[:4]}-{value[4:6]}-{value[6:]}", f"{value[:4]}/{value[4:6]}/{value[6:]}"]
    return [value for value in values if value.lower().encode() in raw]


CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "US loop": "1.2.840.10008.5.1.4.1.1.3.1",
    "enhanced MR": "1.2.840.10008.5.1.4.1.1.4.1",
    "enhanced CT": "1.2.840.10008.5.1.4.1.1.2.1",
}


def base(kind: str, samples: NDArray[Any]) -> Dataset:
    """A header with patient, study and samples (y, x) or (frame, y, x), without a place in the patient."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = UID(CLASSES[kind])
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword, value in PLANTED.items():
        setattr(made, keyword, value)
    made.PatientSex, made.StudyTime, made.Manufacturer = "F", "101112", "Nobody"
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.SeriesNumber, made.InstanceNumber = kind.rsplit(maxsplit=1)[-1][:2].upper(), 3, 1
    if kind.startswith("US"):
        made.Modality = "US"
    made.Rows, made.Columns = samples.shape[-2:]
    if samples.ndim == 3:
        made.NumberOfFrames = len(samples)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.PixelData = samples.astype("<u2").tobytes()
    return made


def write_series(
    folder: Path,
    shape: tuple[int, int, int],
    *,
    spacing: Sequence[float] = (1.0, 1.0, 2.0),
    origin: Sequence[float] = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    kind: str = "CT",
    order: Sequence[int] | None = None,
    downward: bool = False,
) -> list[Path]:
    """Classic single-frame slices; with ``downward`` instance numbers run against the normal of rows and columns."""
    folder.mkdir(parents=True, exist_ok=True)
    axes = np.array(orientation, float).reshape(2, 3)
    normal = np.cross(*axes)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for name, i in enumerate(order if order is not None else range(shape[0])):
        made = base(kind, np.full(shape[1:], 10 + i))
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
        made.PositionReferenceIndicator = ""
        made.InstanceNumber = shape[0] - i if downward else i + 1
        made.PixelSpacing, made.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        made.ImageOrientationPatient = [float(f"{v:.12g}") for v in axes.ravel()]
        made.ImagePositionPatient = [float(f"{v:.12g}") for v in np.array(origin) + i * spacing[2] * normal]
        path = folder / f"IM{name:04d}.dcm"
        made.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_picture(path: Path, kind: str, shape: tuple[int, ...] = (9, 12), *, spacing: bool = True) -> Path:
    """A picture (y, x), or a film loop (frame, y, x), without a place in the patient."""
    made = base(kind, np.arange(int(np.prod(shape))).reshape(shape))
    if spacing and kind in ("CR", "DX", "MG"):
        made.ImagerPixelSpacing = [0.2, 0.1]
    if kind in ("DX", "MG"):
        made.PatientOrientation, made.BodyPartExamined = ["L", "F"], "BREAST"
    made.save_as(path, enforce_file_format=True)
    return path


def write_enhanced(
    path: Path, shape: tuple[int, int, int], *, order: Sequence[int] | None = None, echoes: int = 1
) -> Path:
    """An enhanced multi-frame MR whose frames lie in ``order`` along the normal, ``echoes`` at each place."""
    places = [z for z in (order if order is not None else range(shape[0])) for _ in range(echoes)]
    echo_of = [number % echoes for number in range(len(places))]
    made = base(
        "enhanced MR", np.stack([np.full(shape[1:], 10 + z + 50 * e) for z, e in zip(places, echo_of, strict=True)])
    )
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = generate_uid(), ""
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness, measures.SpacingBetweenSlices = [0.75, 0.5], 3.0, 3.0
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1.0, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    made.SharedFunctionalGroupsSequence = [shared]
    items = []
    for number, z in enumerate(places):
        position, content, item = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [5.0, -7.0, 3.0 * z]
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", z + 1, [1, z + 1]
        content.FrameAcquisitionNumber = number + 1
        item.PlanePositionSequence, item.FrameContentSequence = [position], [content]
        if echoes > 1:
            echo = Dataset()
            echo.EffectiveEchoTime = 10.0 * (1 + echo_of[number])
            item.MREchoSequence = [echo]
        items.append(item)
    made.PerFrameFunctionalGroupsSequence = items
    made.save_as(path, enforce_file_format=True)
    return path
