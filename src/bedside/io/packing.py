"""Files that are compressed as a whole: how they begin inside, and their content."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from bedside.core.errors import FormatError
from bedside.io.bounds import check_declared, check_memory, copy_bounded, count_bytes, free_disk, most_of

HEAD_BYTES = 1024
"""Bytes by which formats are recognised."""

Packing = Literal["gzip", "bzip2", "xz"]

_MAGIC: tuple[tuple[bytes, Packing], ...] = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"))
_OPEN: dict[Packing, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}


@dataclass(frozen=True)
class Head:
    """How a file begins.

    Attributes:
        content: Its first bytes, unpacked where it is compressed as a whole.
        packing: What it is compressed by; None where it is not.
    """

    content: bytes
    packing: Packing | None = None


def read_head(path: Path) -> Head:
    """Return how a file begins. What cannot be unpacked counts as not compressed."""
    with path.open("rb") as file:
        raw = file.read(HEAD_BYTES)
    packing = next((name for magic, name in _MAGIC if raw.startswith(magic)), None)
    if packing is None:
        return Head(raw)
    try:
        with _OPEN[packing](path, "rb") as file:
            return Head(file.read(HEAD_BYTES), packing)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        inner = _first_member(raw) if packing == "gzip" else b""
        return Head(inner, packing) if inner else Head(raw)


def _first_member(raw: bytes) -> bytes:
    """Return what a short gzip file begins with, whatever follows its first part; b"" where that cannot be unpacked."""
    try:
        return zlib.decompressobj(31).decompress(raw, HEAD_BYTES)
    except zlib.error:
        return b""


@contextmanager
def open_unpacked(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file's content as a stream, unpacked where the file is compressed as a whole, whatever its name says."""
    packing = read_head(path).packing
    with _OPEN[packing](path, "rb") if packing else path.open("rb") as stream:
        yield stream


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield a temporary file with the unpacked content of a compressed one, under its name without the last suffix."""
    name = path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz") else path.name
    with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
        inner = Path(folder) / name
        with open_unpacked(path) as source, inner.open("wb") as sink:
            copy_bounded(source, sink, free_disk(inner.parent), str(path))
        yield inner


def check_samples(path: Path, declared: int, before: int) -> None:
    """Hold the samples that a file declares against what it holds, unpacked where it is compressed as a whole.

    Args:
        path: The file.
        declared: Bytes of samples by its header.
        before: Bytes before them, unpacked.

    Raises:
        FormatError: There are fewer, or more are declared than memory holds.
    """
    stored, packing = path.stat().st_size, read_head(path).packing
    if packing is None:
        check_declared(str(path), declared, max(0, stored - before))
    elif packing == "gzip":
        check_declared(str(path), declared, stored, "deflate")
    elif declared > most_of(stored, "loose"):
        # Where a code packs as much as it likes, unpacking is the only way to know.
        check_memory(str(path), declared)
        try:
            with open_unpacked(path) as stream:
                check_declared(str(path), declared, count_bytes(stream, declared + before) - before)
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise FormatError(f"{path}: samples", expected=packing, got=str(error)) from error
    else:
        check_memory(str(path), declared)
