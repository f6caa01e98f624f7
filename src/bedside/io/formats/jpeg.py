"""JPEG, read only: its losses change labels."""

from __future__ import annotations

from bedside.io.raster import read_picture
from bedside.io.registry import READERS, Reader


def _recognises(head: bytes) -> bool:
    return head[:3] == b"\xff\xd8\xff"


READERS.register("jpeg")(Reader("JPEG", (".jpg", ".jpeg"), read_picture, _recognises))
