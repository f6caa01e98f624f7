"""Reads the example's format: a line of JSON that says what the samples are, then the samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.registry import Reader, ReadOptions


def read(path: Path, options: ReadOptions) -> Image:
    """The image in a file; what is damaged raises, and Bedside says which file it was."""
    with path.open("rb") as file:
        header = json.loads(file.readline())
        samples = np.frombuffer(file.read(), np.dtype(header["dtype"]))
    spacing, origin = header["spacing"], header["origin"]
    direction = np.array(header["direction"]) if header["direction"] else None
    return Image(samples.reshape(header["shape"]), Geometry.create(header["shape"], spacing, origin, direction))


READER = Reader("example", (".example",), read)
