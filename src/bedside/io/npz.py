"""NumPy archives from strangers: arrays of numbers, rebuilt from their bytes, and prompts as plain lists and dicts."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.io.bounds import check_declared
from bedside.io.plain_pickle import PickleRejected, plain_value, text_of

PROMPTS = ("boxes", "clicks", "clicks_order")
"""Members that may hold lists, dicts and words; every other one is an array of numbers."""

_CODES = {zipfile.ZIP_STORED: "raw", zipfile.ZIP_DEFLATED: "deflate"}
_LONGEST_HEADER = 10_000
_MOST_PROMPTS = 64 * 2**20
"""Bytes of a member that holds lists and dicts."""
_MOST_WORDS = 100_000
_MAGIC = b"\x93NUMPY"
_DTYPE = re.compile(r"'descr': *'([<>|=]?)([biufUO])(\d*)'")
_ORDER = re.compile(r"'fortran_order': *(True|False)")
_SHAPE = re.compile(r"'shape': *\(([\d, L]*)\)")
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}


@dataclass(frozen=True)
class _Header:
    """What an array in an archive says of itself."""

    order: str
    kind: str
    size: int
    fortran: bool
    shape: tuple[int, ...]


def load_members(path: Path, wanted: Collection[str] | None = None) -> dict[str, Any]:
    """Return the arrays of an archive by name; of ``PROMPTS`` those that are no arrays of numbers, as plain lists.

    Args:
        path: A .npz file.
        wanted: Names to load if they are there; None for all.

    Raises:
        FormatError: A member that is no array of numbers, or longer than what is stored of it; prompts that hold
            something else than lists, dicts, numbers and strings.
    """
    members = {}
    stored = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        # Of several members of one name the last counts, and no other is read.
        for info in {info.filename: info for info in archive.infolist()}.values():
            key = info.filename.removesuffix(".npy")
            if key == info.filename or (wanted is not None and key not in wanted):
                continue
            what = f"{path}: '{key}'"
            if info.compress_type not in _CODES:
                raise FormatError(what, expected="a member stored or deflated", got="another compression")
            check_declared(what, info.file_size, min(info.compress_size, stored), _CODES[info.compress_type])
            with archive.open(info) as stream:
                members[key] = _member(stream, what, info.file_size, prompts=key in PROMPTS)
    return members


def member_names(path: Path) -> list[str]:
    """Return names of the arrays of an archive, without reading them."""
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _member(stream: IO[bytes], what: str, size: int, *, prompts: bool) -> Any:
    header, length = _header(stream, what)
    if header.kind == "O" and prompts:
        return _objects(stream, what, size)
    if header.kind == "U" and prompts:
        return _words(stream, what, header)
    if header.kind not in _SIZES or header.size not in _SIZES[header.kind]:
        kind = {"O": "objects", "U": "text"}.get(header.kind, f"{header.kind}{header.size}")
        raise FormatError(what, expected="an array of numbers", got=f"one of {kind}")
    declared = math.prod(header.shape) * header.size
    check_declared(what, declared, size - length)
    return _numbers(stream, what, header)


def _header(stream: IO[bytes], what: str) -> tuple[_Header, int]:
    """Return the header of an array, read from its text by itself, and its length in bytes."""
    start = stream.read(12)
    if start[:6] != _MAGIC or len(start) < 12 or start[6] not in (1, 2, 3):
        raise FormatError(what, expected="an array of NumPy", got="something else")
    inside = start[8:] if start[6] > 1 else start[8:10]
    length = int.from_bytes(inside, "little")
    begun = start[8 + len(inside) :]
    if not len(begun) <= length <= _LONGEST_HEADER:
        raise FormatError(f"{what}: header", expected=f"at most {_LONGEST_HEADER} bytes", got=length)
    text = (begun + stream.read(length - len(begun))).decode("latin-1")
    dtype, order, shape = (pattern.search(text) for pattern in (_DTYPE, _ORDER, _SHAPE))
    if dtype is None or order is None or shape is None or len(shape.group(1)) > 256:
        raise FormatError(f"{what}: header", expected="a dtype of numbers, an order and a shape", got=text[:60])
    sizes = tuple(int(n) for n in re.findall(r"\d+", shape.group(1)))
    size = int(dtype.group(3)) if dtype.group(3) and len(dtype.group(3)) < 9 else 0
    header = _Header(dtype.group(1), dtype.group(2), size, order.group(1) == "True", sizes)
    return header, 8 + len(inside) + length


def _numbers(stream: IO[bytes], what: str, header: _Header) -> NDArray[Any]:
    order = ">" if header.order == ">" else "<"
    array: NDArray[Any] = np.empty(math.prod(header.shape), f"{order}{header.kind}{header.size}")
    place = array.view(np.uint8).data if array.size else memoryview(b"")
    done = 0
    while done < len(place):
        piece = stream.read(min(2**20, len(place) - done))
        if not piece:
            raise FormatError(f"{what} is incomplete", expected=f"{len(place):,} bytes", got=f"{done:,}")
        place[done : done + len(piece)] = piece
        done += len(piece)
    return array.reshape(header.shape, order="F" if header.fortran else "C")


def _words(stream: IO[bytes], what: str, header: _Header) -> list[Any]:
    """Return an array of text as lists of words."""
    count = math.prod(header.shape)
    if count * max(1, header.size) > _MOST_WORDS:
        raise FormatError(what, expected=f"at most {_MOST_WORDS:,} letters", got=count * header.size)
    content = stream.read(4 * header.size * count)
    try:
        words = text_of(content, header.size, count, big=header.order == ">")
    except UnicodeError as error:
        raise FormatError(what, expected="text", got="bytes that are no letters") from error
    nested: list[Any] = (
        np.array(words, dtype=object).reshape(header.shape, order="F" if header.fortran else "C").tolist()
    )
    return nested


def _objects(stream: IO[bytes], what: str, size: int) -> Any:
    if size > _MOST_PROMPTS:
        raise FormatError(what, expected=f"prompts of at most {_MOST_PROMPTS >> 20} MiB", got=f"{size >> 20} MiB")
    try:
        return plain_value(stream.read(size))
    except PickleRejected as error:
        raise FormatError(what, expected="plain lists, dicts, numbers and strings", got=str(error)) from error
