"""Which DICOM objects hold masks, and reading and writing them by what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.io.dicom.rtstruct_reading import read_rtstruct
from bedside.io.dicom.rtstruct_writing import RTSTRUCT_CLASS
from bedside.io.dicom.seg_reading import SEG_CLASSES, read_seg
from bedside.io.dicom.segments import SegmentSet
from bedside.io.quiet import quiet

ObjectFormat = Literal["dicom-seg", "rtstruct"]

_PREAMBLE_BYTES = 128
SUFFIXES = (".dcm", ".dicom")
"""Names that stand for a DICOM object where something is written."""


def kind_of(path: Path) -> ObjectFormat | None:
    """Which object with masks a file is, by its SOP class; None where it is none."""
    from pydicom import dcmread

    if not path.is_file():
        return None
    with path.open("rb") as file:
        if file.read(_PREAMBLE_BYTES + 4)[_PREAMBLE_BYTES:] != b"DICM":
            return None
    try:
        with quiet():
            uid = str(dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True).get("SOPClassUID"))
    # A file that cannot be read is none of these, and whoever reads it says why.
    except Exception:
        return None
    if uid in SEG_CLASSES:
        return "dicom-seg"
    return "rtstruct" if uid == RTSTRUCT_CLASS else None


def read_object(
    path: Path, reference: Image | None = None, *, threshold: float = 0.5, volume: int | None = None
) -> SegmentSet:
    """The segments of a SEG or RTSTRUCT object, as ``read_seg`` and ``read_rtstruct``.

    Raises:
        InputError: The file is neither, or a structure set without the image that its contours lie in.
    """
    kind = kind_of(path)
    if kind == "dicom-seg":
        return read_seg(path, reference, threshold=threshold, volume=volume)
    if kind is None:
        raise InputError(f"{path}", expected="a DICOM SEG or RTSTRUCT object", got="something else")
    if reference is None:
        raise InputError(
            f"{path}: contours have no grid of their own",
            expected="the image that they lie in",
            fix="give --image (reference= in Python)",
        )
    return read_rtstruct(path, reference)
