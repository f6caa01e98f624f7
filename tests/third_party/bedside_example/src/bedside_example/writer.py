"""Writes the example's format, see ``reader``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bedside.core.errors import FormatError
from bedside.core.image import Image
from bedside.io.registry import Writer


def write(path: Path, image: Image, labels: bool) -> None:
    """Write an image; the path is a temporary one, which takes the place of the file once this returns."""
    if image.is_colour:
        raise FormatError("the example's format cannot hold colour", fix="use .png")
    geometry = image.geometry
    header = {
        "shape": list(image.array.shape),
        "dtype": image.array.dtype.newbyteorder("<").str,
        "spacing": list(geometry.spacing) if geometry.spacing_known else None,
        "origin": list(geometry.origin),
        "direction": [list(row) for row in geometry.direction],
    }
    samples = np.ascontiguousarray(image.array, dtype=header["dtype"])
    path.write_bytes(json.dumps(header).encode() + b"\n" + samples.tobytes())


WRITER = Writer("example", (".example",), write)
