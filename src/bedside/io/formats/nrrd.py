"""NRRD, with the samples in the file or beside it.

What ITK leaves out of a header is read here: units, unknown spacings, and bzip2 (teem's format description).
"""

from __future__ import annotations

import bz2
import math
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.io.itk import Calibration, header_text, read_itk, write_itk
from bedside.io.label_names import LABEL_NAMES, names_of_keys, slicer_keys
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.units import millimetres

_ITK_NAME = "NrrdImageIO"
_UNKNOWN = Calibration(known=False)


def _recognises(head: bytes) -> bool:
    return head[:7] == b"NRRD000"


def _read(path: Path, options: ReadOptions) -> Image:
    image = _read_samples(path, options)
    names = names_of_keys(header_text(path), options.volume or 0) if options.labels else {}
    return replace(image, metadata={**image.metadata, LABEL_NAMES: names}) if names else image


def _read_samples(path: Path, options: ReadOptions) -> Image:
    fields = _fields(header_text(path))
    _check_data_files(path, fields)
    if fields.get("encoding", "").lower() in ("bzip2", "bz2"):
        return _read_bzip2(path, fields, options)
    return read_itk(path, options, _ITK_NAME, _calibration)


def _fields(header: str) -> dict[str, str]:
    """Return the header's fields by name in lower case."""
    fields: dict[str, str] = {}
    for line in re.split(r"\r?\n", header)[1:]:
        if not line:
            break
        name, colon, value = line.partition(":")
        # "key:=value" is a comment of the writer's.
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[name.strip().lower()] = value.strip()
    return fields


def _calibration(header: str, axes: int) -> Calibration:
    fields = _fields(header)
    spatial = min(axes, 3)
    if "space directions" in fields:
        if "nan" in fields["space directions"].lower():
            return _UNKNOWN
        return _in_units(_quoted(fields.get("space units", ""))[:spatial])
    if "spacings" in fields:
        spacings = [_number(word) for word in fields["spacings"].split()]
        # Axes that count volumes or components have none.
        known = [s for s in spacings if s is not None and math.isfinite(s) and s > 0]
        if len(known) < spatial or (len(spacings) == spatial and len(known) < len(spacings)):
            return _UNKNOWN
        return _in_units(_quoted(fields.get("units", ""))[:spatial])
    return _UNKNOWN


def _in_units(units: list[str]) -> Calibration:
    """Return the scale of the units; millimetres where none is named."""
    if not any(units):
        return Calibration(known=True)
    scale = [millimetres(unit) if unit else 1.0 for unit in units]
    if any(s is None for s in scale):
        return _UNKNOWN
    return Calibration(True, (*(float(s or 1.0) for s in scale), 1.0, 1.0)[:3])


def _quoted(text: str) -> list[str]:
    return [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', text)]


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _check_data_files(path: Path, fields: dict[str, str]) -> None:
    """The samples beside a detached header must be there.

    Raises:
        FormatError: They are not.
    """
    name = fields.get("data file", fields.get("datafile", ""))
    if not name or name.upper().startswith("LIST") or "%" in name:
        return
    if not (path.parent / name).is_file():
        raise FormatError(f"{path}: the file with its samples is missing", expected=name, got="nothing there")


def _read_bzip2(path: Path, fields: dict[str, str], options: ReadOptions) -> Image:
    """Return a file whose samples are compressed by bzip2, which ITK's library leaves out: unpacked, then read by
    it.
    """
    name = fields.get("data file", fields.get("datafile", ""))
    content = path.read_bytes()
    head, _, rest = content.partition(b"\r\n\r\n" if b"\r\n\r\n" in content[:_LONGEST_HEADER] else b"\n\n")
    packed = (path.parent / name).read_bytes() if name else rest
    lines = [
        b"encoding: raw" if line.lower().startswith(b"encoding") else line.rstrip(b"\r")
        for line in head.split(b"\n")
        if not line.lower().startswith((b"data file", b"datafile"))
    ]
    with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
        plain = Path(folder) / "unpacked.nrrd"
        with plain.open("wb") as sink:
            sink.write(b"\n".join(lines) + b"\n\n")
            sink.write(bz2.decompress(packed))
        return read_itk(plain, options, _ITK_NAME, _calibration)


_LONGEST_HEADER = 65536


def _write(path: Path, image: Image, labels: bool) -> None:
    write_itk(path, image, _ITK_NAME, slicer_keys(image) if labels else None)


READERS.register("nrrd")(Reader("NRRD", (".nrrd", ".nhdr"), _read, _recognises))
# A detached header would need two files to be replaced at once, so it is not written.
WRITERS.register("nrrd")(Writer("NRRD", (".nrrd",), _write, names=True))
