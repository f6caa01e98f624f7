"""NRRD, with the samples in the file or beside it.

The header is read and checked here, and so are the samples; ITK is asked only where the grid lies, by a header of the
fields that were understood. What ITK leaves out is read here, too: units, unknown spacings, and bzip2 (teem's format
description).
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.io.beside import file_beside, numbered_files
from bedside.io.itk import Calibration, Header, image_of_header, write_itk
from bedside.io.label_names import LABEL_NAMES, names_of_keys, slicer_keys
from bedside.io.nrrd_time import without_time
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.stored import LONGEST_HEADER, MOST_FILES, Code, Stored, sizes_of, whole
from bedside.io.units import millimetres

_ITK_NAME = "NrrdImageIO"
_UNKNOWN = Calibration(known=False)
_MOST_AXES = 16
_FILM = 3
"""Axes of a film of pictures, and of the space in which a picture may lie."""
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("signed long long int",), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_CODES: dict[str, Code] = {
    "raw": "raw",
    **dict.fromkeys(("txt", "text", "ascii"), "text"),
    "hex": "hex",
    **dict.fromkeys(("gz", "gzip"), "gzip"),
    **dict.fromkeys(("bz2", "bzip2"), "bzip2"),
}
_ALONG_SPACE = ("domain", "space", "none", "???")
"""Kinds of axes along which samples lie; the others count the components of a sample, or moments."""
_COLOURS = (
    "rgb-color",
    "rgba-color",
    "3-color",
    "4-color",
    "vector",
    "3-vector",
    "4-vector",
    "point",
    "covariant-vector",
)
_COUNTED = {"time": "moments", "list": "volumes"}
"""What an axis counts that is no component of a sample, by its kind."""
_DIRECTION = re.compile(r"none|\([^()]*\)", re.IGNORECASE)
_PLACING = (
    *("space", "space dimension", "space directions", "space origin", "spacings"),
    *("axis mins", "axis maxs", "centers", "kinds"),
)
"""Fields that say where the grid lies."""
_ALIASES = {"axismins": "axis mins", "axismaxs": "axis maxs", "centerings": "centers", "datafile": "data file"}
_PLAIN = re.compile(r"[\w\s.,+()?-]*", re.ASCII)


def _recognises(head: bytes) -> bool:
    return head[:7] == b"NRRD000"


def _read(path: Path, options: ReadOptions) -> Image:
    image, header = _read_samples(path, options)
    names = names_of_keys(header, options.volume or 0) if options.labels else {}
    return replace(image, metadata={**image.metadata, LABEL_NAMES: names}) if names else image


def _read_samples(path: Path, options: ReadOptions) -> tuple[Image, str]:
    """Return the image, and the text of its header."""
    with path.open("rb") as file:
        beginning = file.read(LONGEST_HEADER)
    fields, end, listed = _fields(path, beginning)
    axes = whole(fields.get("dimension", ""))
    if axes is None or not 1 <= axes <= _MOST_AXES:
        raise FormatError(f"{path}: dimension", expected=f"1 to {_MOST_AXES}", got=fields.get("dimension", "none")[:40])
    sizes = sizes_of(str(path), fields.get("sizes", "").split(), axes)
    fields = without_time(path, fields, axes)
    component = _component_axis(path, fields, axes)
    if axes == 2 and component is None:
        fields, sizes = _as_slice(fields, sizes)
        axes = len(sizes)
    stored = _stored(path, fields, sizes[::-1], end, listed)
    stored.check()
    components = 1 if component is None else sizes[component]

    def read(volume: int | None) -> NDArray[Any]:
        if component is None:
            return stored.read(volume)
        array = np.moveaxis(stored.read(), axes - 1 - component, -1)
        array = array if volume is None else array[volume]
        # One component is no axis of an image ("stub", "scalar").
        return np.ascontiguousarray(array[..., 0] if components == 1 else array)

    content = _plain_header(path, fields, sizes, component)
    counted = _COUNTED.get(_kind(fields, component), "components in every voxel")
    header = Header(content, "header.nhdr", _ITK_NAME, components, _is_colour(fields, component), counted)
    calibration = _calibration(_of_space(fields, component), axes - (component is not None))
    return image_of_header(path, options, header, read, calibration), beginning[:end].decode("latin-1")


def _fields(path: Path, beginning: bytes) -> tuple[dict[str, str], int, list[str]]:
    """Return the header's fields by name in lower case, the place of the first byte behind it, and files listed there.

    Raises:
        FormatError: A line that is none of a header's.
    """
    fields: dict[str, str] = {}
    place = beginning.find(b"\n") + 1 or len(beginning)
    while place < len(beginning):
        end = beginning.find(b"\n", place)
        end = len(beginning) if end < 0 else end
        line = beginning[place:end].decode("latin-1").rstrip("\r")
        place = end + 1
        if not line:
            break
        if line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise FormatError(f"{path}: header", expected="lines of 'field: value'", got=line[:40])
        # "key:=value" is a comment of the writer's.
        if value.startswith("="):
            continue
        name = name.strip().lower()
        fields.setdefault(_ALIASES.get(name, name), value.strip())
        if _ALIASES.get(name, name) == "data file" and re.match(r"LIST(\s|$)", value.strip()):
            listed = beginning[place:].decode("latin-1").split("\n")
            return fields, place, [one.strip() for one in listed if one.strip()]
    return fields, min(place, len(beginning)), []


def _component_axis(path: Path, fields: dict[str, str], axes: int) -> int | None:
    """Return the axis that counts components or moments, in the order of the header; None where there is none.

    It is named by its kind, or by having no direction in space where all others have one.
    """
    kinds = fields["kinds"].lower().split() if "kinds" in fields else ["???"] * axes
    if len(kinds) != axes:
        raise FormatError(f"{path}: kinds", expected=f"{axes} words", got=fields["kinds"][:80])
    found = [place for place, kind in enumerate(kinds) if kind not in _ALONG_SPACE]
    if kinds[-1] == "time" and axes == _FILM:
        # A film of pictures is read as a stack.
        found.remove(axes - 1)
    directions = [word.lower() for word in _DIRECTION.findall(fields.get("space directions", ""))]
    if not found and len(directions) == axes:
        found = [place for place, word in enumerate(directions) if word == "none"]
    if len(found) > 1:
        raise FormatError(f"{path}: kinds", expected="one axis of components at most", got=" ".join(kinds)[:80])
    return found[0] if found else None


def _as_slice(fields: dict[str, str], sizes: tuple[int, ...]) -> tuple[dict[str, str], tuple[int, ...]]:
    """Return a picture with a place in a space of three axes as a volume of one slice; others as they are."""
    words = _DIRECTION.findall(fields.get("space directions", ""))
    vectors = [[_number(v) for v in word.strip("()").split(",")] for word in words]
    if len(vectors) != len(sizes) or any(len(v) != _FILM or None in v for v in vectors):
        return fields, sizes
    across = np.cross(*np.array(vectors, dtype=np.float64))
    length = float(np.linalg.norm(across))
    if not (math.isfinite(length) and length > 0):
        return fields, sizes
    normal = ",".join(repr(float(v)) for v in across / length)
    made = {name: value for name, value in fields.items() if name not in ("kinds", "centers")}
    return {**made, "space directions": f"{' '.join(words)} ({normal})"}, (*sizes, 1)


def _is_colour(fields: dict[str, str], component: int | None) -> bool:
    """Return whether the components of a picture are its colours, and no moments or layers."""
    return _kind(fields, component) in ("", *_COLOURS)


def _kind(fields: dict[str, str], component: int | None) -> str:
    """Return the kind of an axis; "" where there is none."""
    kinds = fields.get("kinds", "").lower().split()
    return "" if component is None or not kinds else kinds[component]


def _stored(path: Path, fields: dict[str, str], shape: tuple[int, ...], end: int, listed: list[str]) -> Stored:
    kind, code = fields.get("type", "").lower(), fields.get("encoding", "").lower()
    if kind not in _TYPES:
        raise FormatError(f"{path}: type", expected="a type of numbers", got=kind[:40] or "none")
    if code not in _CODES:
        raise FormatError(
            f"{path}: encoding", expected=", ".join(sorted(set(_CODES.values()))), got=code[:40] or "none"
        )
    order = fields.get("endian", "").lower()
    dtype = np.dtype(f"{'>' if order == 'big' else '<'}{_TYPES[kind]}")
    if dtype.itemsize > 1 and _CODES[code] != "text" and order not in ("little", "big"):
        raise FormatError(f"{path}: endian", expected="little or big", got=order[:40] or "none")
    skips = {
        name: whole(fields.get(name, fields.get(name.replace(" ", ""), "0"))) for name in ("line skip", "byte skip")
    }
    lines, skip = skips["line skip"], skips["byte skip"]
    if lines is None or skip is None or lines < 0 or skip < -1 or (skip == -1 and _CODES[code] != "raw"):
        raise FormatError(f"{path}: line skip, byte skip", expected="numbers that fit the encoding", got=str(skips))
    files = _data_files(path, fields.get("data file", ""), listed, shape)
    return Stored(path, files, dtype, shape, _CODES[code], end if files == (path,) else 0, lines, skip)


def _data_files(path: Path, name: str, listed: list[str], shape: tuple[int, ...]) -> tuple[Path, ...]:
    """Return the files with the samples: the header's own, one beside it, or one for each slice."""
    if not name:
        return (path,)
    most = min(MOST_FILES, shape[0])
    if re.match(r"LIST(\s|$)", name):
        if not 1 <= len(listed) <= most:
            raise FormatError(f"{path}: files of samples", expected=f"1 to {most}", got=len(listed))
        return tuple(file_beside(path, one) for one in listed)
    words = name.split()
    if "%" in words[0] and len(words) >= 4:
        numbers = [whole(word) for word in words[1:4]]
        return numbered_files(path, re.sub(r"^(\./+)+", "", words[0]), [n for n in numbers if n is not None], most)
    return (file_beside(path, name),)


def _plain_header(path: Path, fields: dict[str, str], sizes: tuple[int, ...], component: int | None) -> bytes:
    """Return a header with size, type and place alone."""
    if component is not None:
        # The kinds of components are many, and ITK knows some of them.
        kinds = ("vector" if axis == component else "domain" for axis in range(len(sizes)))
        fields = {**fields, "kinds": " ".join(kinds)}
    lines = ["NRRD0005", "type: uchar", f"dimension: {len(sizes)}", f"sizes: {' '.join(map(str, sizes))}"]
    for name in _PLACING:
        value = fields.get(name, "")
        if not value:
            continue
        # A number too many, or an axis that does not fit, is ITK's to reject; what is no number or word is not.
        if len(value) > 40 * (len(sizes) + 1) ** 2 or _PLAIN.fullmatch(value) is None:
            raise FormatError(f"{path}: {name}", expected="numbers or words", got=value[:80])
        lines.append(f"{name}: {value}")
    return "\n".join([*lines, "encoding: raw", "data file: samples", ""]).encode("ascii")


def _of_space(fields: dict[str, str], component: int | None) -> dict[str, str]:
    """Return the fields with lengths and units without the axis that counts components."""
    if component is None:
        return fields
    made = dict(fields)
    for name, words in (("spacings", fields.get("spacings", "").split()), ("units", _quoted(fields.get("units", "")))):
        if len(words) > component:
            del words[component]
            made[name] = " ".join(words if name == "spacings" else (f'"{word}"' for word in words))
    return made


def _calibration(fields: dict[str, str], axes: int) -> Calibration:
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


def _write(path: Path, image: Image, labels: bool) -> None:
    write_itk(path, image, _ITK_NAME, slicer_keys(image) if labels else None)


READERS.register("nrrd")(Reader("NRRD", (".nrrd", ".nhdr"), _read, _recognises))
# A detached header would need two files to be replaced at once, so it is not written.
WRITERS.register("nrrd")(Writer("NRRD", (".nrrd",), _write, names=True))
