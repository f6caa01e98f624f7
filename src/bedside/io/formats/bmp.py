"""Windows bitmap, read only."""

from __future__ import annotations

from bedside.io.raster import read_picture
from bedside.io.registry import READERS, Reader

READERS.register("bmp")(Reader("BMP", (".bmp",), read_picture))
