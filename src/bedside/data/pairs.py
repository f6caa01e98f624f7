"""Which label file belongs to which image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import read_image, read_mask
from bedside.io.registry import READERS

_ENDINGS = (".image", ".labels", "_0000", "_gt", "_seg", "-labels")
LARGEST_SHIFT = 0.5
"""Voxels by which corners of image and labels may lie apart."""


@dataclass(frozen=True)
class Pair:
    """An image and its labels, not read yet.

    Attributes:
        name: Name of the case.
        image: A file, or a folder of DICOM files.
        labels: A file.
    """

    name: str
    image: Path
    labels: Path

    def load(self, *, series: str | None = None) -> tuple[Image, NDArray[np.uint16]]:
        """Return the image and its label map, uint16.

        Raises:
            FormatError: A file cannot be read, or the two do not lie on one grid.
        """
        image = read_image(self.image, series=series)
        mask = read_mask(self.labels, reference=image)
        if mask.shape != image.shape:
            raise FormatError(f"labels {self.labels}", expected=f"shape {image.shape}", got=mask.shape)
        if image.ndim == 3 and not _same_place(image.geometry, mask.geometry):
            raise FormatError(
                f"labels {self.labels}",
                expected=f"the grid of {self.image}",
                got="another origin, direction or spacing",
                fix="resample the labels to the image first",
            )
        return image, mask.array.astype(np.uint16)


def find_pairs(images: Path, labels: Path) -> list[Pair]:
    """Return images and labels of equal names, sorted by name.

    Names are compared without their suffixes and without ``.image``, ``.labels``, ``_0000``, ``_gt``, ``_seg``.

    Args:
        images: A file, a folder of DICOM files, or a folder of images (files, or a folder of DICOM files each).
        labels: A file, or a folder of label files; may be the folder of the images.

    Raises:
        InputError: Nothing there, a label file without an image, or two files of one name.
    """
    for path in (images, labels):
        if not path.exists():
            raise InputError(f"{path}", expected="an existing file or folder", got="nothing there")
    if labels.is_file():
        return [Pair(case_name(labels), images, labels)]
    if images.is_file():
        raise InputError(f"{labels}", expected=f"the label file of {images}", got="a folder")
    shared = images.resolve() == labels.resolve()
    label_files = _by_name([p for p in _readable(labels, False) if not shared or _is_labels(p)])
    image_files = _by_name([p for p in _readable(images, True) if not shared or not _is_labels(p)])
    alone = sorted(label_files.keys() - image_files.keys())
    if alone or not label_files:
        raise InputError(
            f"{labels}", expected="label files, each with an image of its name", got=", ".join(alone[:3]) or "none"
        )
    return [Pair(name, image_files[name], label_files[name]) for name in sorted(label_files)]


def case_name(path: Path) -> str:
    """Return the name of the case that a file belongs to."""
    name = path.name
    for suffix in sorted((s for _, r in READERS.items() for s in r.suffixes), key=len, reverse=True):
        if path.is_file() and name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def _is_labels(path: Path) -> bool:
    return any(mark in path.name for mark in (".labels.", "_gt.", "_seg.", "-labels."))


def _readable(folder: Path, folders: bool) -> list[Path]:
    suffixes = tuple(s for _, r in READERS.items() for s in r.suffixes)
    return [
        p
        for p in sorted(folder.iterdir())
        if not p.name.startswith(".") and (p.is_dir() if p.is_dir() and folders else p.name.lower().endswith(suffixes))
    ]


def _by_name(paths: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        name = case_name(path)
        if name in found:
            raise InputError(f"case '{name}'", expected="one file", got=f"{found[name].name} and {path.name}")
        found[name] = path
    return found


def _same_place(image: Geometry, labels: Geometry) -> bool:
    """Return whether the corners of two grids of one shape coincide; a grid that is not known fits any."""
    if not (image.spacing_known and labels.spacing_known):
        return True
    corners = np.array(np.meshgrid(*((0, n - 1) for n in image.shape[::-1]))).reshape(image.ndim, -1).T
    apart = np.linalg.norm(image.index_to_world(corners) - labels.index_to_world(corners), axis=1).max()
    return bool(apart <= LARGEST_SHIFT * min(image.spacing))
