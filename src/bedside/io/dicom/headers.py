"""Reading the headers of DICOM files: which files are images, and what their frames are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from bedside.core.errors import FormatError
from bedside.io.dicom.attributes import is_localizer, volume_attributes
from bedside.io.dicom.declared import check_frames
from bedside.io.dicom.frame import Frame, Storage
from bedside.io.dicom.placement import macro, pixel_spacing, placement
from bedside.io.dicom.values import first_number, positive, text, value_of

PREAMBLE_BYTES = 128
_OLD_SUFFIXES = (".dcm", ".dicom", ".ima")
# Objects with rows and columns that are about images and not images themselves.
_NO_IMAGES = ("SEG", "PR", "KO", "SR", "REG", "RTSTRUCT", "RTPLAN")
_PLAIN_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_VALUE_REPRESENTATIONS = (
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_LONGEST_FIRST = 256
"""Bytes that the first element of a file without a preamble may have: they are numbers, names and UIDs."""


def is_dicom(path: Path) -> bool:
    """Return whether a file has DICOM's preamble, or begins with an element as files without a preamble do."""
    with path.open("rb") as file:
        return looks_like_dicom(file.read(PREAMBLE_BYTES + 4))


def looks_like_dicom(head: bytes) -> bool:
    """Return whether a file that begins with ``head``, at least 132 bytes of it, is DICOM."""
    return head[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM" or _is_bare(head)


def _is_bare(head: bytes) -> bool:
    """Return whether the first bytes are an element of the groups that DICOM data begin with (0002 or 0008)."""
    if len(head) < 8 or head[:2] not in (b"\x02\x00", b"\x08\x00") or head[3] != 0:
        return False
    if head[4:6] in _VALUE_REPRESENTATIONS:
        length = int.from_bytes(head[6:8], "little")
        return head[4:6] in (b"OB", b"UI", b"UL", b"CS", b"SH", b"DA", b"TM", b"LO") and length <= _LONGEST_FIRST
    # Implicit: the length stands where the value representation would; such data begin with group 0008 and are followed
    # by another element of a low group.
    length = int.from_bytes(head[4:8], "little")
    following = head[8 + length : 12 + length]
    return head[:2] == b"\x08\x00" and length <= 100 and length % 2 == 0 and following[:2] == b"\x08\x00"


def read_header(path: Path) -> tuple[Any, Storage] | None:
    """Return everything before the samples, and how these are stored; None where the file is no DICOM image."""
    from pydicom import dcmread

    try:
        with path.open("rb") as file:
            head = file.read(PREAMBLE_BYTES + 4)
            # Files from before the preamble was required are known by their suffix or their first element.
            bare = head[PREAMBLE_BYTES:] != b"DICM"
            if bare and not (path.suffix.lower() in _OLD_SUFFIXES or _is_bare(head)):
                return None
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True, force=bare)
            if "Rows" not in dataset or "Columns" not in dataset or value_of(dataset, "Modality") in _NO_IMAGES:
                return None
            try:
                check_frames(str(path), dataset, path.stat().st_size)
                _check_one_image(path, dataset)
            except FormatError as problem:
                shape = (int(value_of(dataset, "Rows")), int(value_of(dataset, "Columns")))
                return dataset, Storage(path, 1, shape, problem=problem)
            return dataset, _storage(path, dataset, file)
    # The library raises what it likes on what is no DICOM.
    except Exception:
        return None


def cut_off_series(path: Path) -> str | None:
    """Return of which series an image was that ``read_header`` makes nothing of because its header is cut off.

    Returns:
        SeriesInstanceUID, "" where it is not among what is left; None where the file is none of DICOM's images.
    """
    from pydicom import dcmread
    from pydicom.uid import UID

    with path.open("rb") as file:
        head = file.read(PREAMBLE_BYTES + 4)
        if not head:
            return "" if path.suffix.lower() in _OLD_SUFFIXES else None
        if head[PREAMBLE_BYTES:] != b"DICM":
            return None
        file.seek(0)
        try:
            dataset = dcmread(file, stop_before_pixels=True)
            kind = UID(text(dataset.get("SOPClassUID")) or text(dataset.file_meta.get("MediaStorageSOPClassUID")))
            image = not kind or "Image Storage" in kind.name
            whole = "Rows" in dataset and "Columns" in dataset
            return text(dataset.get("SeriesInstanceUID")) if image and not whole else None
        except Exception:
            return ""


def _check_one_image(path: Path, dataset: Any) -> None:
    """Frames must be slices or pictures, and not pieces of one picture or many slices in one.

    Raises:
        FormatError: A mosaic (Siemens), or a slide of tiles (PS3.3 A.32.8).
    """
    if "MOSAIC" in np.ravel(value_of(dataset, "ImageType") or ()):
        count = first_number(getattr(dataset.get((0x0019, 0x100A)), "value", None))
        raise FormatError(
            f"{path}: a mosaic of {f'{count:.0f} ' if count else ''}slices in one picture",
            expected="a slice or a volume",
            fix="convert the series with dcm2niix first, and give the .nii.gz",
        )
    total = first_number(value_of(dataset, "TotalPixelMatrixColumns"))
    frames = first_number(value_of(dataset, "NumberOfFrames")) or 1
    if total and frames > 1 and total > int(value_of(dataset, "Columns")):
        raise FormatError(
            f"{path}: a slide in {frames:.0f} tiles",
            expected="slices or pictures",
            fix="convert it to OME-TIFF first (bfconvert of Bio-Formats)",
        )


def _storage(path: Path, dataset: Any, file: IO[bytes]) -> Storage:
    syntax = text(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID"))
    frames = int(first_number(value_of(dataset, "NumberOfFrames")) or 1)
    shape = (int(value_of(dataset, "Rows")), int(value_of(dataset, "Columns")))
    photometric = text(value_of(dataset, "PhotometricInterpretation"))
    bits, inverted = int(value_of(dataset, "BitsAllocated") or 16), photometric == "MONOCHROME1"
    offset = -1
    if (
        syntax in _PLAIN_SYNTAXES
        and int(value_of(dataset, "SamplesPerPixel") or 1) == 1
        and bits in (8, 16, 32)
        and photometric in ("MONOCHROME1", "MONOCHROME2", "")
        and not value_of(dataset, "ModalityLUTSequence")
    ):
        size = frames * shape[0] * shape[1] * bits // 8
        offset = _pixel_data(file, explicit=syntax == _PLAIN_SYNTAXES[1], size=size)
    stored = int(value_of(dataset, "BitsStored") or bits)
    stored = stored if stored <= bits else bits
    below = int(first_number(value_of(dataset, "HighBit")) or 0) + 1 - stored
    below = below if 0 < below <= bits - stored else 0
    signed = bool(value_of(dataset, "PixelRepresentation"))
    return Storage(path, frames, shape, syntax, offset, bits, stored, below, signed, inverted)


def _pixel_data(file: IO[bytes], *, explicit: bool, size: int) -> int:
    """Return where the samples begin behind the header that was just read; -1 where that is not plain to see."""
    header = file.read(12 if explicit else 8)
    if header[:4] != b"\xe0\x7f\x10\x00":
        return -1
    # Short lengths in explicit syntax do not occur for samples.
    if explicit and header[4:6] not in (b"OB", b"OW"):
        return -1
    length = int.from_bytes(header[-4:], "little")
    start = file.tell()
    end = file.seek(0, 2)
    return start if size <= length < 0xFFFFFFFF and start + size <= end else -1


def frames_of(dataset: Any, storage: Storage) -> Iterator[Frame]:
    """Yield the frames of a file."""
    for index in range(storage.frames):
        yield _frame(dataset, storage, index)


def _frame(dataset: Any, storage: Storage, index: int) -> Frame:
    count = storage.frames
    measures = macro(dataset, index, "PixelMeasuresSequence")
    values = macro(dataset, index, "PixelValueTransformationSequence")
    position, digits, orientation = placement(dataset, index, count)
    # A slope of 0 would leave nothing of the samples: who writes it means that there is none.
    slope = first_number(value_of(values, "RescaleSlope")) or None
    if slope is None:
        slope = first_number(value_of(dataset, "DoseGridScaling"))
    number = first_number(value_of(dataset, "InstanceNumber"))
    attributes = volume_attributes(dataset, index, count)
    return Frame(
        storage=storage,
        index=index,
        uid=text(value_of(dataset, "SOPInstanceUID")),
        number=int(number) if number is not None and count == 1 and np.isfinite(number) else None,
        shape=storage.shape,
        colour=int(value_of(dataset, "SamplesPerPixel") or 1) == 3,
        localizer=is_localizer(attributes),
        position=position,
        digits=digits,
        orientation=orientation,
        pixel_spacing=pixel_spacing(dataset, index),
        thickness=positive(value_of(measures, "SpacingBetweenSlices"))
        or positive(value_of(measures, "SliceThickness")),
        slope=1.0 if slope is None else slope,
        intercept=first_number(value_of(values, "RescaleIntercept")) or 0.0,
        padding=_padding(dataset),
        attributes=attributes,
    )


def _padding(dataset: Any) -> tuple[float, float] | None:
    """Return lowest and highest stored sample that stands for no measurement (PS3.3 C.7.5.1.1.2)."""
    value = _as_sample(value_of(dataset, "PixelPaddingValue"), dataset)
    if value is None:
        return None
    limit = _as_sample(value_of(dataset, "PixelPaddingRangeLimit"), dataset)
    return (value, value) if limit is None else (min(value, limit), max(value, limit))


def _as_sample(value: Any, dataset: Any) -> float | None:
    """Return a stored sample, whose element is often written with the other signedness than the samples have."""
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little") if len(value) >= 2 else None
    number = first_number(value)
    if number is None or not np.isfinite(number):
        return None
    bits = int(value_of(dataset, "BitsAllocated") or 16)
    if value_of(dataset, "PixelRepresentation") and number >= 2 ** (bits - 1):
        return float(number - 2**bits)
    return float(number + 2**bits) if not value_of(dataset, "PixelRepresentation") and number < 0 else number


def transfer_syntax(dataset: Any) -> Any:
    """Return the transfer syntax of a dataset that was read, guessed where its file does not say."""
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    stated = dataset.file_meta.get("TransferSyntaxUID")
    if stated:
        return stated
    return ImplicitVRLittleEndian if dataset.original_encoding[0] else ExplicitVRLittleEndian


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts "IM10" after "IM9"."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
