"""Whether a file that ITK wrote is complete: it says nothing when its last bytes find no room on the disk."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from bedside.core.errors import StorageError

_LONGEST_HEADER = 65536
_END = re.compile(rb"\n\r?\n|^ElementDataFile = LOCAL\n", re.MULTILINE)
"""End of a header of NRRD or MetaImage."""
_STATED = re.compile(rb"^CompressedDataSize = (\d+)$", re.MULTILINE)
_EITHER = zlib.MAX_WBITS + 32
"""zlib finds out by itself whether samples are packed by zlib or gzip."""
_PIECE = 2**20


def check_written(path: Path, expected: int) -> None:
    """Unpack the samples of a .nrrd or .mha file, and count them; their checksums are compared by zlib.

    Args:
        path: The file, whose samples are compressed.
        expected: Bytes of the samples.

    Raises:
        StorageError: Bytes are missing.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
        end = _END.search(head)
        if end is None:
            raise _incomplete(path, "no header")
        stated = _STATED.search(head, 0, end.end())
        if stated is not None and path.stat().st_size - end.end() != int(stated.group(1)):
            raise _incomplete(path, f"{path.stat().st_size - end.end()} of {int(stated.group(1))} packed bytes")
        file.seek(end.end())
        count, unpacker = 0, zlib.decompressobj(_EITHER)
        try:
            while not unpacker.eof and (piece := file.read(_PIECE)):
                count += len(unpacker.decompress(piece, _PIECE))
                while unpacker.unconsumed_tail:
                    count += len(unpacker.decompress(unpacker.unconsumed_tail, _PIECE))
        except zlib.error as error:
            raise _incomplete(path, str(error)) from error
    if not unpacker.eof or count != expected:
        raise _incomplete(path, f"{count} bytes")


def _incomplete(path: Path, got: str) -> StorageError:
    return StorageError(
        f"{path.name} is not complete on the disk",
        expected="all samples",
        got=got,
        fix="free some space, or write to another place",
    )
