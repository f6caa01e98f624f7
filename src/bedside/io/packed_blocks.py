"""Blocks of chunked arrays packed by blosc, held against their files before the library unpacks them.

The library believes the length that stands in a block's header, and reads so far, whatever the file holds. Source: the
header of c-blosc 1 (README_CHUNK_FORMAT).
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bedside.core.errors import FormatError

_HEADER = struct.Struct("<4xIII")
"""After version and flags: bytes unpacked, bytes of an inner block, bytes packed; the header among them."""
_MOST = 8
"""How often the bytes of a block's samples a block may unpack to: filters may have made the samples wider."""


def check_packed(array: Any, index: Sequence[int | slice]) -> None:
    """Hold the blocks that an index touches against their files, where blosc was the last to pack them.

    Blocks within a shard are not looked at, nor arrays that do not lie in files.

    Args:
        array: A zarr array.
        index: On each of its axes.

    Raises:
        FormatError: A block that is shorter than it says, or that unpacks to more than the array's blocks hold.
    """
    root = getattr(array.store_path.store, "root", None)
    if root is None or not _is_blosc(array.metadata):
        return
    folder = Path(root) / array.store_path.path
    steps = []
    for chosen, size, step in zip(index, array.shape, array.chunks, strict=True):
        start, stop, _ = chosen.indices(size) if isinstance(chosen, slice) else (chosen, chosen + 1, 1)
        steps.append(range(start // step, -(-stop // step)))
    most = _MOST * math.prod(array.chunks) * array.dtype.itemsize
    for place in itertools.product(*steps):
        _check_block(folder / array.metadata.encode_chunk_key(place), most)


def _is_blosc(metadata: Any) -> bool:
    if metadata.zarr_format == 2:
        return getattr(metadata.compressor, "codec_id", None) == "blosc"
    return type(metadata.codecs[-1]).__name__ == "BloscCodec"


def _check_block(file: Path, most: int) -> None:
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEADER.size)
            size = file.stat().st_size
    except FileNotFoundError:
        return  # Stands for the fill value.
    check_header(file, head, size, most)


def check_header(file: Path, head: bytes, size: int, most: int) -> None:
    """Hold what a block's header says against what there is.

    Args:
        file: For the message.
        head: The first bytes of the file.
        size: Bytes of the file.
        most: Bytes that it may unpack to.

    Raises:
        FormatError: It says more.
    """
    unpacked, _, packed = _HEADER.unpack(head) if len(head) == _HEADER.size else (0, 0, _HEADER.size)
    if packed > size:
        raise FormatError(f"{file}: a block", expected=f"{packed:,} bytes, as its header says", got=f"{size:,}")
    if unpacked > most:
        raise FormatError(f"{file}: a block", expected=f"at most {most:,} bytes unpacked", got=f"{unpacked:,}")
