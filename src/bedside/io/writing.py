"""Writing masks and images: checked before anything is touched, then written atomically."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bedside.core.errors import BedsideError, FormatError, StorageError
from bedside.core.files import atomic_path
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.label_names import LABEL_COLOURS, LABEL_NAMES, unkept
from bedside.io.quiet import quiet, reason
from bedside.io.registry import WRITERS, Writer, all_suffixes, find_writer
from bedside.io.samples import as_labels


def write_mask(
    path: str | Path,
    mask: NDArray[Any],
    geometry: Geometry,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
) -> tuple[str, ...]:
    """Write a label map: NIfTI, NRRD, MHA, TIFF or NPZ, and PNG for two axes, chosen by the suffix.

    Args:
        path: Where to; an older file is replaced only once the new one is complete.
        mask: (z, y, x) or (y, x); stored as uint8, or uint16 where it is uint16 or has values above 255.
        geometry: Its grid; PNG, TIFF and NPZ do not keep it.
        names: Of its values, by label; NRRD keeps them, in the keys that 3D Slicer reads.
        colours: "#rrggbb" of its values, by label; kept where names are, for the values that have one.

    Returns:
        What a user should know, a sentence each: names that the format has no place for.

    Raises:
        FormatError: The format cannot hold the mask, its values are no labels, or the place is not writable.
    """
    target = Path(path)
    if mask.shape != geometry.shape:
        raise FormatError(f"{target}: mask", expected=f"the shape of its geometry {geometry.shape}", got=mask.shape)
    writer = find_writer(target)
    _check_dimensions(target, writer, geometry.ndim)
    metadata = {LABEL_NAMES: dict(names), LABEL_COLOURS: dict(colours or {})} if names else {}
    _write(target, writer, Image(as_labels(mask, "mask"), geometry, metadata=metadata), labels=True)
    note = unkept(writer, (names or {}).values())
    return () if note is None else (note,)


def write_image(path: str | Path, image: Image) -> None:
    """Write an image in the format that the suffix names, with the dtype that it has.

    Raises:
        FormatError: The format cannot hold the image, or the place is not writable.
    """
    target = Path(path)
    writer = find_writer(target)
    _check_dimensions(target, writer, image.ndim)
    _write(target, writer, image, labels=False)


def writers() -> dict[str, tuple[str, ...]]:
    """Return the formats that can be written, each with its suffixes."""
    return {name: writer.suffixes for name, writer in WRITERS.items()}


def _check_dimensions(target: Path, writer: Writer, dimensions: int) -> None:
    if dimensions not in writer.dimensions:
        able = [w for _, w in WRITERS.items() if dimensions in w.dimensions]
        raise FormatError(
            f"{target}: {writer.title} cannot hold {dimensions} axes", fix=f"use one of {all_suffixes(able)}"
        )


def _write(target: Path, writer: Writer, image: Image, *, labels: bool) -> None:
    if target.is_dir():
        raise FormatError(f"{target}", expected="a file to write", got="a folder")
    folder = target.parent
    if not folder.is_dir():
        raise FormatError(f"{target}: cannot write", expected="an existing folder", got=f"no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise FormatError(f"{target}: cannot write", expected="a folder you may write to", got=f"{folder}")
    try:
        with quiet(), atomic_path(target) as temporary:
            writer.write(temporary, image, labels)
            if temporary.stat().st_size == 0:
                raise StorageError(f"{target} cannot be written", expected=f"a file of {writer.title}", got="no bytes")
    except StorageError:
        raise
    except BedsideError as error:
        # A writer knows the temporary path only.
        raise type(error)(f"{target}: {error}") from error
    # The disk may be full or the library may reject the data, each in its own kind of exception.
    except Exception as error:
        raise FormatError(f"{target} cannot be written as {writer.title}", got=reason(error)) from error
