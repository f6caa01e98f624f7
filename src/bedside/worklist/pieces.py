"""What several layouts write: an image as NIfTI, its label map, a table in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bedside.core.errors import FormatError, InputError
from bedside.core.files import write_text_atomically
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.writing import write_image, write_mask
from bedside.worklist.entries import Drawn, Entry

NIFTI = ".nii.gz"
_EXACT_BITS = 24


def write_json(path: Path, data: Any) -> None:
    """Write plain values, the same ones always as the same bytes."""
    write_text_atomically(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_card(path: Path) -> dict[str, Any]:
    """Return what an earlier export said of all images.

    Raises:
        FormatError: It cannot be read.
    """
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}", expected="the list of the last export", got=str(error)) from error
    if not isinstance(card, dict):
        raise FormatError(f"{path}", expected="the list of the last export", got=type(card).__name__)
    return card


def check_values(path: Path, before: Any, now: Mapping[str, Any]) -> None:
    """Make sure that masks of an earlier export, which stay, mean what those do that are made now.

    Raises:
        InputError: Values have changed since.
    """
    if not isinstance(before, dict) or not before.items() <= now.items():
        raise InputError(
            f"{path}: masks of images that cannot be read now",
            expected=f"the values {dict(now)}",
            got=f"{before}",
            fix="write to another folder",
        )


def without_background(values: Mapping[str, int]) -> dict[str, int]:
    """Return values by names of classes, none of which is that of what is no object, "background"."""
    found: dict[str, int] = {}
    for name, value in values.items():
        told = name
        while told == "background" or (told != name and told in values):
            told += " (object)"
        found[told] = value
    return found


def write_channels(folder: Path, case: str, image: Image) -> list[Path]:
    """Write the channels of an image as ``CASE_0000.nii.gz`` and so on: one, or three of a picture in colour.

    A picture becomes a volume of one slice, because NIfTI readers of the trainers expect three axes.
    """
    samples = storable_samples(image.array)
    channels = np.moveaxis(samples, -1, 0) if image.is_colour else samples[None]
    paths = []
    for number, channel in enumerate(channels):
        path = folder / f"{case}_{number:04d}{NIFTI}"
        write_image(path, as_volume(replace(image, array=np.ascontiguousarray(channel), padding=())))
        paths.append(path)
    return paths


def write_labels(path: Path, entry: Entry, value: Callable[[Drawn], int]) -> None:
    """Write the label map of an image as NIfTI, on the grid that ``write_channels`` gives the image."""
    volume = as_volume(replace(entry.image, array=entry.label_map(value), padding=()))
    write_mask(path, volume.array, volume.geometry)


def as_volume(image: Image) -> Image:
    """Return a grey picture as a volume of one slice; a volume is returned as it is."""
    if image.ndim == 3:
        return image
    grid = image.geometry
    known = (*grid.spacing, 1.0) if grid.spacing_known else None
    return replace(image, array=image.array[None], geometry=Geometry.create((1, *grid.shape), known))


def storable_samples(array: Any) -> Any:
    """Return samples of a dtype that all readers of NIfTI know, without changing a value.

    Raises:
        FormatError: Whole numbers that no such dtype holds exactly.
    """
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "ui" and array.dtype.itemsize > 4:
        if max(abs(int(array.min())), abs(int(array.max()))) > 2**_EXACT_BITS:
            raise FormatError("image", expected="samples up to 2^24", got=f"{array.dtype} with larger ones")
        return array.astype(np.int32)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def modality_of(modalities: Iterable[str | None]) -> str:
    """Return the one modality of all images; "image" where they differ or do not say."""
    found = set(modalities)
    only = next(iter(found)) if len(found) == 1 else None
    return only or "image"
