"""What a TIFF declares, held against its bytes before the library goes through it: sizes, tiles, and files it names.

The library makes a list of all tiles that the size asks for, and OME-XML names other files and numbers of planes; none
of that has to exist. So the directories are read here first. Sources: TIFF 6.0, BigTIFF, OME-XML schema 2016-06.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.io.beside import check_plain
from bedside.io.bounds import check_declared

MOST_DIRECTORIES = 200_000
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""Types of whole numbers without a sign, as NumPy has them."""
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of the types of values that are longer than one."""
_WIDTH, _LENGTH, _BITS, _CODE, _SAMPLES, _ROWS, _PLANAR = 256, 257, 258, 259, 277, 278, 284
_STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_BYTES = 273, 279, 322, 323, 324, 325
_INNER, _DEPTH, _TILE_DEPTH, _MEANING = 330, 32997, 32998, 262
_YCBCR = 6
_NDPI = 65420
_WANTED = (
    *(_WIDTH, _LENGTH, _BITS, _CODE, _SAMPLES, _ROWS, _PLANAR, _STRIPS, _STRIP_BYTES),
    *(_TILE_WIDTH, _TILE_LENGTH, _TILES, _TILE_BYTES, _INNER, _DEPTH, _TILE_DEPTH, _MEANING, _NDPI),
)
_CODES = {1: "raw", 5: "lzw", 6: "jpeg", 7: "jpeg", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_MOST_BITS = 128


@dataclass(frozen=True)
class _Layout:
    """Sizes of the fields of a TIFF or BigTIFF, as ``struct`` has them."""

    order: str
    count: str
    offset: str

    @property
    def entry(self) -> int:
        """Bytes of an entry."""
        return 4 + 2 * struct.calcsize(self.offset)


def check_directories(path: Path) -> None:
    """Hold each directory of a TIFF against the file: its entries, its strips or tiles, and the samples in them.

    Raises:
        FormatError: The file was cut off, or declares what it does not have.
    """
    size = path.stat().st_size
    declared: dict[str, int] = {}
    with path.open("rb") as stream:
        for number, directory in enumerate(_directories(path, stream, size)):
            code, samples = _check_one(f"{path}: directory {number}", directory, size)
            declared[code] = declared.get(code, 0) + samples
    # Several directories may point at the same bytes; twice is what thumbnails and masks may do.
    for code, samples in declared.items():
        check_declared(str(path), samples, 2 * size, code)


def _directories(path: Path, stream: IO[bytes], size: int) -> Iterator[Mapping[int, NDArray[np.uint64]]]:
    """Yield the values of the directories, those within others, too."""
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    layout = _Layout(order, "Q" if big else "H", "Q" if big else "I")
    try:
        waiting = list(struct.unpack_from(order + layout.offset, head, 8 if big else 4))
    except struct.error as error:
        raise _cut(path, "its first directory") from error
    seen: set[int] = set()
    while waiting:
        place, chain = waiting.pop(), set[int]()
        # A chain that leads out of the file ends there for the library, too, after the first.
        while place and (place < size or not seen) and (place not in seen or place in chain):
            if place in chain:
                raise FormatError(f"{path}: pages", expected="one after the other", got="a circle of them")
            chain.add(place)
            seen.add(place)
            if len(seen) > MOST_DIRECTORIES:
                raise FormatError(f"{path}: pages", expected=f"at most {MOST_DIRECTORIES:,}", got="more")
            found, place = _directory(path, stream, layout, place, size, first=len(seen) == 1)
            # Slides of this maker keep the upper half of places beyond 4 GiB elsewhere.
            if _NDPI in found and size >= 2**32:
                return
            if found:
                yield found
            waiting += (int(n) for n in found.get(_INNER, ()))


def _directory(
    path: Path, stream: IO[bytes], layout: _Layout, place: int, size: int, *, first: bool
) -> tuple[dict[int, NDArray[np.uint64]], int]:
    """Return the values of one directory by tag, none where it is cut off, and the place of the next."""
    stream.seek(place)
    width = struct.calcsize(layout.offset)
    raw = stream.read(struct.calcsize(layout.count))
    count = struct.unpack(layout.order + layout.count, raw)[0] if len(raw) == struct.calcsize(layout.count) else 0
    length = count * layout.entry
    entries = stream.read(length) if place + length <= size else b""
    following = stream.read(width)
    if not count or len(entries) < length:
        if first:
            raise _cut(path, f"{count} entries")
        return {}, _next(layout, following) if len(entries) == length else 0
    values: dict[int, NDArray[np.uint64]] = {}
    for start in range(0, length, layout.entry):
        tag, kind, number = struct.unpack_from(layout.order + "HH" + layout.offset, entries, start)
        inside = entries[start + 4 + width : start + layout.entry]
        needed = number * _SIZES.get(kind, 1)
        (where,) = struct.unpack(layout.order + layout.offset, inside)
        if needed > width and where + needed > size:
            if first:
                raise _cut(path, f"the value of tag {tag}")
            continue
        if tag in _WANTED and kind in _TYPES and tag not in values:
            if needed > width:
                stream.seek(where)
                inside = stream.read(needed)
            dtype = np.dtype(f"{layout.order}{_TYPES[kind]}")
            values[tag] = np.frombuffer(inside, dtype, min(number, len(inside) // dtype.itemsize)).astype(np.uint64)
    return values, _next(layout, following)


def _next(layout: _Layout, stored: bytes) -> int:
    """Return the place of the next directory; 0 where there is none."""
    whole = len(stored) == struct.calcsize(layout.offset)
    return int(struct.unpack(layout.order + layout.offset, stored)[0]) if whole else 0


def _check_one(what: str, values: Mapping[int, NDArray[np.uint64]], size: int) -> tuple[str, int]:
    """Hold one directory against the file; return its code and the bytes of its samples."""

    def value(tag: int, default: int) -> int:
        found = values.get(tag)
        return int(found[0]) if found is not None and found.size else default

    width, length, depth = value(_WIDTH, 0), value(_LENGTH, 0), max(1, value(_DEPTH, 1))
    samples, bits = max(1, value(_SAMPLES, 1)), value(_BITS, 1)
    code = _CODES.get(value(_CODE, 1), "loose")
    # Of colours that are stored as brightness and two differences, these may be stored for several pixels together.
    code = "packbits" if code == "raw" and value(_MEANING, 1) == _YCBCR else code
    if not width or not length:
        return code, 0
    if not 1 <= bits <= _MOST_BITS:
        raise FormatError(f"{what}: bits of a sample", expected=f"1 to {_MOST_BITS}", got=bits)
    planes = samples if value(_PLANAR, 1) == 2 else 1
    tiled = _TILES in values or _TILE_WIDTH in values
    across, down = (value(_TILE_WIDTH, 0), value(_TILE_LENGTH, 0)) if tiled else (width, value(_ROWS, length) or length)
    if not across or not down:
        raise FormatError(f"{what}: size of a tile", expected="positive numbers", got=f"{across} x {down}")
    deep = max(1, value(_TILE_DEPTH, 1)) if tiled else 1
    parts = -(-width // across) * -(-length // down) * -(-depth // deep) * planes
    places = values.get(_TILES if tiled else _STRIPS, values.get(_STRIPS, np.empty(0, np.uint64)))
    lengths = values.get(_TILE_BYTES if tiled else _STRIP_BYTES, values.get(_STRIP_BYTES, np.empty(0, np.uint64)))
    # One strip may hold all of it, whatever the number of rows says.
    if parts > places.size and not (places.size == 1 and code == "raw"):
        raise FormatError(f"{what}: fewer tiles or strips than its size asks for", expected=parts, got=places.size)
    row = -(-(across if tiled else width) * bits * (samples // planes) // 8)
    declared = depth * length * planes * -(-width * bits * (samples // planes) // 8)
    if tiled:
        # What is decoded are whole tiles.
        check_declared(f"{what}: a tile", row * down * deep, size, "loose" if code == "raw" else code)
    lengths = lengths[:parts]
    if (lengths > size).any():
        # The library asks for as many bytes as are declared.
        got = f"{int(lengths.max()):,}"
        raise FormatError(f"{what}: bytes of a tile or strip", expected=f"at most the file's {size:,}", got=got)
    left = np.clip(size - places[:parts].astype(float), 0, None)
    if lengths.size == left.size:
        left = np.minimum(left, lengths.astype(float))
    # Tiles of no bytes stand for an even background.
    code = "loose" if (lengths == 0).any() else code
    check_declared(what, declared, min(size, int(left.sum())), code)
    return code, declared


def check_named(path: Path, xml: str | None) -> None:
    """Hold what OME-XML says against the file: planes, and names of other files, which are plain ones.

    Args:
        path: The file that holds it.
        xml: The text; None where there is none.

    Raises:
        FormatError: A name that leads to another folder, or more planes than the files can hold.
    """
    if not xml:
        return
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return  # The library reads the pages without it.
    names = {name for e in root.iter() if (name := e.get("FileName"))}
    for name in names:
        check_plain(path, name)
    stored = sum(file.stat().st_size for n in {path.name, *names} if (file := path.parent / n).is_file())
    for pixels in (e for e in root.iter() if e.tag.endswith("Pixels")):
        sizes = [_count(path, pixels.get(f"Size{axis}", "1")) for axis in "XYZCT"]
        total = 1
        for n in sizes:
            total *= max(1, n)
        check_declared(f"{path}: OME-XML", total, stored, "loose")
        planes = total // (max(1, sizes[0]) * max(1, sizes[1]))
        for data in (e for e in pixels if e.tag.endswith("TiffData")):
            for key in ("IFD", "NumPlanes", "PlaneCount", "FirstZ", "FirstC", "FirstT"):
                if _count(path, data.get(key, "0")) > max(planes, MOST_DIRECTORIES):
                    raise FormatError(f"{path}: OME-XML, {key}", expected=f"at most {planes}", got=data.get(key))
    for along in (e for e in root.iter() if e.tag[:-1].endswith("Along") and e.get("Start") is not None):
        _check_along(path, along)


def _check_along(path: Path, along: ElementTree.Element) -> None:
    try:
        start, end, step = (float(along.get(k, d)) for k, d in (("Start", "0"), ("End", "0"), ("Step", "1")))
        steps = (end - start) / step
    except (ValueError, ZeroDivisionError):
        steps = float("inf")
    if not abs(steps) < MOST_DIRECTORIES:
        raise FormatError(f"{path}: OME-XML, steps along an axis", expected=f"at most {MOST_DIRECTORIES}", got="more")


def _count(path: Path, text: str) -> int:
    if not (text.isascii() and text.strip().isdigit()) or len(text) > 18:
        raise FormatError(f"{path}: OME-XML", expected="whole numbers", got=text[:40])
    return int(text)


def _cut(path: Path, expected: str) -> FormatError:
    return FormatError(f"{path} is incomplete", expected=expected, got="the end of the file")
