"""Windows bitmap, read only."""

from __future__ import annotations

from bedside.io.raster import read_picture
from bedside.io.registry import READERS, Reader


def _recognises(head: bytes) -> bool:
    # "BM" alone would be the beginning of many texts: the size of the second header is one of a few.
    return head[:2] == b"BM" and head[14:18] in tuple(n.to_bytes(4, "little") for n in (12, 40, 52, 56, 64, 108, 124))


READERS.register("bmp")(Reader("BMP", (".bmp",), read_picture, _recognises))
