"""Samples behind a header of text, as NRRD and MetaImage keep them: in the file or beside it, raw or in some code."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.io.bounds import bytes_of, check_declared, check_memory, count_bytes
from bedside.io.samples import native

Code = Literal["raw", "gzip", "bzip2", "text", "hex"]

LONGEST_HEADER = 2**22
"""Bytes of a header of text at most; those of segmentations with hundreds of names are long."""
MOST_FILES = 100_000
"""Files that one header may name."""
_PIECE = 2**20
_PACKED = 2**17
"""Bytes of a code that are unpacked at a time: what is left of them is copied for each piece that comes out."""
_BOUND = {"raw": "raw", "gzip": "deflate", "bzip2": "loose", "text": "text", "hex": "raw"}


@dataclass(frozen=True)
class Stored:
    """Where the samples of a file are, as its header has it.

    Attributes:
        header: The file that was asked for, for messages.
        files: Those with the samples, in order; each holds an equal part.
        dtype: With its byte order.
        shape: Array order, the slowest axis first.
        code: How they are stored.
        start: First byte of them in each file; -1 where they end with the file.
        lines: Lines after ``start`` that are left out.
        skip: Bytes that are left out then, of what comes out of the code; -1 where the samples end with the file.
    """

    header: Path
    files: tuple[Path, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    code: Code = "raw"
    start: int = 0
    lines: int = 0
    skip: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all samples."""
        return bytes_of(str(self.header), self.shape, self.dtype.itemsize)

    def check(self) -> None:
        """Hold what is declared against what is stored.

        Raises:
            FormatError: Fewer bytes are stored than the samples need, or more declared than memory holds.
        """
        stored = sum(max(0, file.stat().st_size - max(0, self.start)) for file in self.files)
        # Unpacking is the only way to know where a code packs as much as it likes.
        if self.code == "bzip2" and self.nbytes > stored:
            check_memory(str(self.header), self.nbytes)
            stored = sum(self._unpacked_size(file) for file in self.files)
            check_declared(str(self.header), self.nbytes, stored)
        else:
            check_declared(str(self.header), self.nbytes, stored, _BOUND[self.code])

    def read(self, volume: int | None = None) -> NDArray[Any]:
        """Return the samples, in this machine's byte order.

        Args:
            volume: Place on the slowest axis, of which alone samples are returned; None for all.

        Raises:
            FormatError: As ``check``, or samples that cannot be unpacked.
        """
        self.check()
        if volume is not None:
            one = replace(self, shape=self.shape[1:])
            if self.code != "raw" or len(self.files) > 1 or -1 in (self.start, self.skip) or self.lines:
                return np.array(self.read()[volume])
            return replace(one, start=self.start + volume * one.nbytes).read()
        flat: NDArray[Any] = np.empty(self.nbytes // self.dtype.itemsize, self.dtype)
        parts = np.split(flat, len(self.files)) if flat.size % len(self.files) == 0 else []
        if not parts:
            raise FormatError(f"{self.header}", expected=f"slices in each of {len(self.files)} files", got=self.shape)
        for file, part in zip(self.files, parts, strict=True):
            self._read_part(file, part)
        return native(flat.reshape(self.shape))

    def _unpacked_size(self, file: Path) -> int:
        with file.open("rb") as stream:
            _skip_lines(stream, max(0, self.start), self.lines)
            inner = bz2.BZ2File(stream)
            try:
                return count_bytes(inner, self.nbytes + max(0, self.skip)) - max(0, self.skip)
            except (OSError, EOFError) as error:
                raise FormatError(f"{file}: samples", expected="bzip2", got=str(error)) from error

    def _read_part(self, file: Path, part: NDArray[Any]) -> None:
        with file.open("rb") as stream:
            if self.code == "raw" and -1 in (self.start, self.skip):
                stream.seek(max(0, file.stat().st_size - part.nbytes))
                _fill(self.header, part, _pieces(stream))
                return
            _skip_lines(stream, max(0, self.start), self.lines)
            if self.code == "text":
                self._read_text(stream, part)
            elif self.code == "hex":
                content = bytes.fromhex(stream.read().decode("ascii"))
                _fill(self.header, part, iter([content[max(0, self.skip) :]]))
            else:
                _fill(self.header, part, _without(_decoded(stream, self.code), max(0, self.skip)))

    def _read_text(self, stream: IO[bytes], part: NDArray[Any]) -> None:
        stream.seek(max(0, self.skip), 1)
        text = stream.read().decode("latin-1").replace(",", " ")
        kind = np.float64 if self.dtype.kind == "f" else np.int64 if self.dtype.kind == "i" else np.uint64
        found = np.fromstring(text, kind, sep=" ", count=-1)
        if found.size < part.size:
            raise FormatError(f"{self.header}: samples", expected=f"{part.size} numbers", got=found.size)
        part[:] = found[: part.size].astype(self.dtype)


def _skip_lines(stream: IO[bytes], start: int, lines: int) -> None:
    stream.seek(start)
    for _ in range(lines):
        if not stream.readline():
            return


def _pieces(stream: IO[bytes], size: int = 0) -> Iterator[bytes]:
    while piece := stream.read(size or _PIECE):
        yield piece


def _decoded(stream: IO[bytes], code: Code) -> Iterator[bytes]:
    """Yield what comes out of a code, in pieces that are never much longer than ``_PIECE``."""
    if code == "raw":
        yield from _pieces(stream)
    elif code == "bzip2":
        inner = bz2.BZ2File(stream)
        while piece := inner.read(_PIECE):
            yield piece
    else:
        yield from _inflated(stream)


def _inflated(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of zlib or gzip data, of several one after the other, too."""
    inflate = zlib.decompressobj(47)
    for packed in _pieces(stream, _PACKED):
        rest = packed
        while rest:
            if inflate.eof:
                # What follows the last part is padding unless it begins another.
                if not rest.startswith(b"\x1f\x8b"):
                    return
                inflate = zlib.decompressobj(47)
            piece = inflate.decompress(rest, _PIECE)
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if piece:
                yield piece
    yield inflate.flush()


def _without(pieces: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """Yield pieces without the first ``skip`` bytes."""
    for piece in pieces:
        yield piece[skip:]
        skip = max(0, skip - len(piece))


def _fill(header: Path, part: NDArray[Any], pieces: Iterator[bytes]) -> None:
    """Put bytes into an array until it is full.

    Raises:
        FormatError: There are too few, or they cannot be unpacked.
    """
    place = part.view(np.uint8).data
    done = 0
    try:
        for piece in pieces:
            fits = piece[: len(place) - done]
            place[done : done + len(fits)] = fits
            done += len(fits)
            if done == len(place):
                return
    except (zlib.error, OSError, EOFError) as error:
        raise FormatError(f"{header}: samples cannot be unpacked", got=str(error)) from error
    raise FormatError(
        f"{header}: fewer samples than its header declares", expected=f"{len(place):,} bytes of them", got=f"{done:,}"
    )


def whole(word: str) -> int | None:
    """Return the whole number that a word of a header is; None where it is none, or is longer than any size."""
    sign, digits = (word[:1], word[1:]) if word[:1] in ("+", "-") else ("", word)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        return None
    return int(sign + digits)


def sizes_of(what: str, words: Sequence[str], axes: int) -> tuple[int, ...]:
    """Return the samples along each axis, in the order of the header.

    Raises:
        FormatError: Other than ``axes`` positive whole numbers.
    """
    found = [whole(word) for word in words]
    if len(found) != axes or any(n is None or n < 1 for n in found):
        raise FormatError(f"{what}: sizes", expected=f"{axes} positive numbers", got=" ".join(words)[:80] or "none")
    return tuple(n for n in found if n is not None)
