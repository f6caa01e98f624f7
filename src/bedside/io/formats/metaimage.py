"""MetaImage: .mha, and .mhd with the samples beside it.

The header is read and checked here, and so are the samples; ITK is asked only where the grid lies, by a header of the
fields that were understood.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.io.beside import file_beside, numbered_files
from bedside.io.itk import Calibration, Header, image_of_header, write_itk
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.stored import LONGEST_HEADER, MOST_FILES, Stored, sizes_of, whole
from bedside.io.units import millimetres

_ITK_NAME = "MetaImageIO"
_BEGINNING = re.compile(rb"\s*(ObjectType|NDims|Comment|ObjectSubType|TransformType)\s*=", re.IGNORECASE)
_LINE = re.compile(r"^\s*([^=:]*?)\s*[=:]\s*(.*?)\s*$", re.DOTALL)
_NAMES = ("met_uchar", "met_char", "met_ushort", "met_short", "met_uint", "met_int", "met_ulong", "met_long")
_TYPES = {
    **dict(zip(_NAMES, ("u1", "i1", "u2", "i2", "u4", "i4", "u4", "i4"), strict=True)),
    **{"met_ulong_long": "u8", "met_long_long": "i8", "met_float": "f4", "met_double": "f8"},
}
_TYPES |= {f"{name}_array": code for name, code in _TYPES.items()}
_TYPES["met_ascii_char"] = "i1"
_MATRICES = ("transformmatrix", "rotation", "orientation")
_NAMED = {
    **{"elementspacing": "ElementSpacing", "elementsize": "ElementSize"},
    **dict.fromkeys(("offset", "position", "origin"), "Offset"),
    **dict.fromkeys(_MATRICES, "TransformMatrix"),
}
_MOST_AXES, _MOST_CHANNELS = 10, 4096


def _recognises(head: bytes) -> bool:
    return _BEGINNING.match(head) is not None and b"NDims" in head


def _read(path: Path, options: ReadOptions) -> Image:
    fields, end, listed = _fields(path)
    axes = whole(fields.get("ndims", ""))
    if axes is None or not 1 <= axes <= _MOST_AXES:
        raise FormatError(f"{path}: NDims", expected="a number of axes", got=fields.get("ndims", "none")[:40])
    if axes not in (2, 3, 4):
        raise FormatError(f"{path}", expected="2 to 4 axes", got=axes)
    sizes = sizes_of(f"{path}: DimSize", fields.get("dimsize", "").split(), axes)
    channels = whole(fields.get("elementnumberofchannels", "1"))
    if channels is None or not 1 <= channels <= _MOST_CHANNELS:
        raise FormatError(f"{path}: channels", expected=f"1 to {_MOST_CHANNELS}", got=str(channels))
    stored = _stored(path, fields, (*sizes[::-1], *([channels] if channels > 1 else [])), end, listed)
    stored.check()
    unit = fields.get("distanceunits", "")
    # "?" is what the format's library writes where nobody said.
    scale = (millimetres(unit) if unit else None) or 1.0
    known = "elementspacing" in fields or "elementsize" in fields
    header = Header(_plain_header(path, fields, sizes, channels), "header.mhd", _ITK_NAME, channels)
    return image_of_header(path, options, header, stored.read, Calibration(known, (scale,) * 3))


def _fields(path: Path) -> tuple[dict[str, str], int, list[str]]:
    """Return the fields of a header by name in lower case, the place of the first byte behind it, and what follows.

    Raises:
        FormatError: No end of the header.
    """
    with path.open("rb") as file:
        beginning = file.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    place = 0
    while (end := beginning.find(b"\n", place)) >= 0 or place < len(beginning):
        end = len(beginning) if end < 0 else end
        line = beginning[place:end].decode("latin-1")
        place = end + 1
        found = _LINE.match(line)
        # Programs put what they like between the fields, such as texts of several lines.
        if found is None:
            continue
        name, value = found.group(1).lower(), found.group(2)
        fields.setdefault(name, value)
        if name == "elementdatafile":
            listed = beginning[place:].decode("latin-1").split("\n") if value.upper().startswith("LIST") else []
            return fields, place, [name.strip() for name in listed if name.strip()]
    raise FormatError(f"{path}: header", expected="ElementDataFile at its end", got="none")


def _stored(path: Path, fields: dict[str, str], shape: tuple[int, ...], end: int, listed: list[str]) -> Stored:
    kind = fields.get("elementtype", "").lower()
    if kind not in _TYPES:
        raise FormatError(f"{path}: ElementType", expected="a type of numbers", got=kind[:40] or "none")
    big = _says_yes(fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "")))
    packed = _says_yes(fields.get("compresseddata", ""))
    binary = _says_yes(fields.get("binarydata", "True"))
    start = whole(fields.get("headersize", "0"))
    if start is None or start < -1:
        raise FormatError(f"{path}: HeaderSize", expected="a number of bytes, or -1", got=fields["headersize"][:40])
    files = _data_files(path, fields["elementdatafile"], listed, shape)
    if files == (path,) and start == 0:
        start = end
    return Stored(
        path,
        files,
        np.dtype(f"{'>' if big else '<'}{_TYPES[kind]}"),
        shape,
        "gzip" if packed else "raw" if binary else "text",
        start,
    )


def _says_yes(value: str) -> bool:
    return value[:1] in ("T", "t", "1", "Y", "y")


def _data_files(path: Path, name: str, listed: list[str], shape: tuple[int, ...]) -> tuple[Path, ...]:
    """Return the files with the samples: the header's own, one beside it, or one for each slice."""
    if not name or name.upper() == "LOCAL":
        return (path,)
    most = min(MOST_FILES, shape[0])
    if name.upper() == "LIST" or name.upper().startswith("LIST "):
        if not 1 <= len(listed) <= most:
            raise FormatError(f"{path}: files of samples", expected=f"1 to {most}", got=len(listed))
        return tuple(file_beside(path, one) for one in listed)
    words = name.split()
    if "%" in words[0]:
        numbers = [whole(word) for word in words[1:4]]
        return numbered_files(path, words[0], [n for n in numbers if n is not None], most)
    return (file_beside(path, name),)


def _plain_header(path: Path, fields: dict[str, str], sizes: tuple[int, ...], channels: int) -> bytes:
    """Return a header with size, type and place alone, of numbers that were read."""
    axes = len(sizes)
    lines = ["ObjectType = Image", f"NDims = {axes}", f"DimSize = {' '.join(map(str, sizes))}"]
    for name, written in _NAMED.items():
        if name in fields and not any(line.startswith(f"{written} =") for line in lines):
            count = axes * axes if name in _MATRICES else axes
            lines.append(f"{written} = {' '.join(_numbers(path, name, fields[name], count))}")
    lines += [f"ElementNumberOfChannels = {channels}", "ElementType = MET_UCHAR", "ElementDataFile = samples", ""]
    return "\n".join(lines).encode("ascii")


def _numbers(path: Path, name: str, text: str, count: int) -> list[str]:
    words = text.split()
    try:
        found = [float(word) for word in words]
    except ValueError:
        found = []
    if len(found) != count or not np.all(np.isfinite(found)):
        raise FormatError(f"{path}: {name}", expected=f"{count} numbers", got=text[:80] or "none")
    return [repr(number) for number in found]


def _write(path: Path, image: Image, labels: bool) -> None:  # noqa: ARG001 - masks and images are stored alike
    write_itk(path, image, _ITK_NAME)


READERS.register("metaimage")(Reader("MetaImage", (".mha", ".mhd"), _read, _recognises))
# A detached header would need two files to be replaced at once, so it is not written.
WRITERS.register("metaimage")(Writer("MetaImage", (".mha",), _write))
