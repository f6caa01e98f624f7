"""JPEG, read only: its losses change labels."""

from __future__ import annotations

from bedside.io.raster import read_picture
from bedside.io.registry import READERS, Reader

READERS.register("jpeg")(Reader("JPEG", (".jpg", ".jpeg"), read_picture))
