"""Surfaces as files: binary STL and PLY, whose headers say that coordinates are LPS, in millimetres."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bedside.core.errors import FormatError
from bedside.core.files import write_bytes_atomically
from bedside.core.surface import Surface

NOTE = "Bedside, millimetres. SPACE=LPS"
"""3D Slicer takes the coordinate system of STL and PLY from such a note."""
STL_HEADER = 80
TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
FACE = np.dtype([("count", "u1"), ("vertices", "<u4", 3)])


def write_surface(path: str | Path, surface: Surface) -> None:
    """Write a surface in the format of its file's suffix, ``.stl`` or ``.ply``; an older file is replaced at once.

    Args:
        path: The file.
        surface: What to write; coordinates are rounded to float32.

    Raises:
        FormatError: The suffix is another.
        StorageError: The disk is full, or the place cannot be written for another reason.
    """
    write_bytes_atomically(path, surface_writer(Path(path))(surface))


def surface_writer(path: Path) -> Callable[[Surface], bytes]:
    """Return what packs a surface in the format of a file's suffix.

    Raises:
        FormatError: The suffix is another.
    """
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise FormatError(f"{path}", expected=f"a name that ends in {' or '.join(FORMATS)}", got=path.name)
    return found


def pack_stl(surface: Surface) -> bytes:
    """Return binary STL: a header of 80 bytes, the number of triangles, then each with its normal."""
    triangles = np.zeros(len(surface.faces), TRIANGLE)
    triangles["normal"], triangles["corners"] = surface.normals, surface.corners
    return NOTE.encode().ljust(STL_HEADER) + len(triangles).to_bytes(4, "little") + triangles.tobytes()


def pack_ply(surface: Surface) -> bytes:
    """Return binary PLY 1.0, little-endian: vertices as float32, faces as lists of three uint32."""
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {NOTE}",
        f"element vertex {len(surface.vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(surface.faces)}",
        "property list uchar uint vertex_indices",
        "end_header",
    ]
    faces = np.zeros(len(surface.faces), FACE)
    faces["count"], faces["vertices"] = 3, surface.faces
    return "\n".join([*header, ""]).encode() + surface.vertices.astype("<f4").tobytes() + faces.tobytes()


FORMATS: dict[str, Callable[[Surface], bytes]] = {".stl": pack_stl, ".ply": pack_ply}
"""By suffix."""
