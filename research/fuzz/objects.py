"""Small SEG and RTSTRUCT files of every kind that Bedside writes, to be damaged, and how they are read."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np

from bedside.core.image import Image
from bedside.io import read_image
from bedside.io.contents import contents
from bedside.io.dicom.seg_writing import SegType
from bedside.io.dicom.segments import SegmentSet, segments_of_labels
from bedside.io.segmentations import read_segments, write_segments
from research.fuzz.seeds import Seed, write_series

OBJECTS = ("dicom-seg", "rtstruct")
_NAME = "object.dcm"


def make_object_seeds() -> dict[str, list[Seed]]:
    """Return the seeds of SEG and RTSTRUCT, by the name of the form."""
    found: dict[str, list[Seed]] = {name: [] for name in OBJECTS}
    for name, content in _files():
        found[name].append(Seed(name, {_NAME: content}, _NAME))
    return found


def read_object(path: Path, choice: int) -> int:
    """Read a file in one of the ways in which Bedside does; return the bytes of its samples."""
    way = choice % 10
    if way == 0:
        contents(path)
        return 0
    found = read_segments(path, None if way == 1 else _image(), threshold=0.5 if way < 6 else 0.1)
    # Whatever the segments fill, a map of the grid is made of them.
    return int(sum(s.patch.nbytes for s in found.segments) + 2 * np.prod(found.geometry.shape))


def _files() -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryDirectory(prefix="seeds-") as folder:
        write_series(Path(folder) / "series")
        image = read_image(Path(folder) / "series")
        path = Path(folder) / _NAME
        for found in (_segments(image, 1), _segments(image, 3)):
            for seg_type, compress in itertools.product(get_args(SegType), (False, True)):
                write_segments(path, found, image, form="dicom-seg", seg_type=seg_type, compress=compress)
                yield "dicom-seg", path.read_bytes()
            for keyhole in (False, True):
                write_segments(path, found, image, form="rtstruct", keyhole=keyhole)
                yield "rtstruct", path.read_bytes()


def _segments(image: Image, count: int) -> SegmentSet:
    """Return discs, some with a hole, on the grid of an image."""
    labels = np.zeros(image.shape, np.uint8)
    axes = np.ogrid[tuple(slice(n) for n in image.shape)]
    for label in range(1, count + 1):
        squared = (axes[1] - 5 * label) ** 2 + (axes[2] - 4 * label) ** 2 + 0 * axes[0]
        labels[(squared < 16) & ((squared > 2) | (label % 2 == 0))] = label
    return SegmentSet(segments_of_labels(labels, {1: "liver", 2: "tumour"}), image.geometry)


@cache
def _image() -> Image:
    """Return the image that all of them lie on; read once, as it is not what is fuzzed."""
    with tempfile.TemporaryDirectory(prefix="seeds-") as folder:
        write_series(Path(folder))
        image = read_image(folder)
        return Image(np.asarray(image.array), image.geometry, metadata=image.metadata)
