"""MetaImage: .mha, and .mhd with the samples beside it."""

from __future__ import annotations

import re
from pathlib import Path

from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.io.itk import Calibration, header_text, read_itk, write_itk
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.units import millimetres

_ITK_NAME = "MetaImageIO"
_SPACING = re.compile(r"^\s*Element(Spacing|Size)\s*=", re.MULTILINE | re.IGNORECASE)
_UNIT = re.compile(r"^\s*DistanceUnits\s*=\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_DATA = re.compile(r"^\s*ElementDataFile\s*=\s*(.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_BEGINNING = re.compile(rb"\s*(ObjectType|NDims|Comment|ObjectSubType|TransformType)\s*=", re.IGNORECASE)


def _recognises(head: bytes) -> bool:
    return _BEGINNING.match(head) is not None and b"NDims" in head


def _read(path: Path, options: ReadOptions) -> Image:
    header = header_text(path)
    found = _DATA.search(header)
    name = found.group(1) if found else ""
    inside = not name or name.upper() in ("LOCAL", "LIST") or name.upper().startswith("LIST ") or "%" in name
    if not inside and not (path.parent / name).is_file():
        raise FormatError(f"{path}: the file with its samples is missing", expected=name, got="nothing there")
    return read_itk(path, options, _ITK_NAME, _calibration)


def _calibration(header: str, axes: int) -> Calibration:
    del axes
    known = _SPACING.search(header) is not None
    unit = _UNIT.search(header)
    # "?" is what the format's library writes where nobody said.
    scale = (millimetres(unit.group(1)) if unit else None) or 1.0
    return Calibration(known, (scale,) * 3)


def _write(path: Path, image: Image, labels: bool) -> None:  # noqa: ARG001 - masks and images are stored alike
    write_itk(path, image, _ITK_NAME)


READERS.register("metaimage")(Reader("MetaImage", (".mha", ".mhd"), _read, _recognises))
# A detached header would need two files to be replaced at once, so it is not written.
WRITERS.register("metaimage")(Writer("MetaImage", (".mha",), _write))
