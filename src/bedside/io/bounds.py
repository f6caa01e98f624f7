"""What a file declares, held against the bytes that exist: one place for all readers.

A header is believed as far as there are bytes for it. Before anything is allocated, looped over or handed to a library,
a reader asks here whether the samples that are declared can come out of the bytes that are stored, and whether they fit
into memory. How much a code can pack into a byte follows from its definition:

    raw        1       deflate, gzip, zip    1,032      PackBits, RLE    64      LZW    2,731      JPEG    2,048
    loose      20,000 and 64 MiB in any case: JPEG 2000, JPEG-LS, fax and others that are not bounded by themselves
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from bedside.core.errors import FormatError

RATIO = {"raw": 1, "deflate": 1032, "packbits": 64, "lzw": 2731, "jpeg": 2048, "text": 8, "loose": 20_000}
"""Bytes of samples that a stored byte can become, by code; of text, a digit alone may be a sample of 8 bytes."""

_LOOSE = 64 * 2**20
"""Bytes of samples that codes without a bound of their own may declare in any case."""
_PIECE = 2**20
_RESERVE = 2**28
"""Bytes of a disk that unpacking leaves free."""


def bytes_of(what: str, shape: Sequence[int], itemsize: int) -> int:
    """Return the bytes of samples.

    Args:
        what: The file, for the message.
        shape: Samples along each axis.
        itemsize: Bytes of a sample.

    Raises:
        FormatError: An axis without samples.
    """
    if any(n < 1 for n in shape):
        raise FormatError(f"{what}: size", expected="at least one sample along each axis", got=tuple(shape))
    return math.prod(int(n) for n in shape) * itemsize


def most_of(stored: int, code: str) -> int:
    """Return the bytes of samples that ``stored`` bytes of a code can become at most."""
    return stored * RATIO[code] + (_LOOSE if code == "loose" else 0)


def check_declared(what: str, declared: int, stored: int, code: str = "raw") -> None:
    """Hold the bytes of samples that a file declares against those that it has.

    Args:
        what: The file, for the message.
        declared: Bytes of samples by its header.
        stored: Bytes that there are for them.
        code: One of ``RATIO``.

    Raises:
        FormatError: They cannot come out of what is stored, or do not fit into this machine's memory.
    """
    if declared > most_of(stored, code):
        raise FormatError(
            f"{what}: fewer samples than its header declares",
            expected=f"{declared:,} bytes of them",
            got=f"{stored:,} bytes{'' if code == 'raw' else ' of code'}",
            fix="the file was cut off, or its header is wrong",
        )
    check_memory(what, declared)


def check_memory(what: str, declared: int) -> None:
    """Hold declared bytes against this machine's memory.

    Raises:
        FormatError: They are more.
    """
    if declared > (memory := total_memory()):
        raise FormatError(
            f"{what}: samples",
            expected=f"what fits into {memory / 2**30:.0f} GiB of memory",
            got=f"{declared / 2**30:.0f} GiB",
        )


def total_memory() -> int:
    """Return bytes of this machine's memory; without limit where that cannot be found out."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**63


def free_disk(folder: Path) -> int:
    """Return the bytes that may be unpacked into a folder, so that some are left free."""
    return max(0, shutil.disk_usage(folder).free - _RESERVE)


def copy_bounded(source: IO[bytes], sink: IO[bytes], limit: int, what: str) -> int:
    """Copy a stream; return how many bytes it had.

    Args:
        source: Where from, as a rule something that is unpacked while it is read.
        sink: Where to.
        limit: Bytes at most.
        what: The file, for the message.

    Raises:
        FormatError: There are more.
    """
    copied = 0
    while piece := source.read(min(_PIECE, limit - copied + 1)):
        copied += len(piece)
        if copied > limit:
            raise FormatError(f"{what}: its content", expected=f"at most {limit:,} bytes unpacked", got="more")
        sink.write(piece)
    return copied


def count_bytes(source: IO[bytes], enough: int) -> int:
    """Return how many bytes a stream has, counted up to ``enough`` and kept nowhere."""
    counted = 0
    while counted < enough and (piece := source.read(min(_PIECE, enough - counted))):
        counted += len(piece)
    return counted
