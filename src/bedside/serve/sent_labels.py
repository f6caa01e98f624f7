"""Label maps that MONAI Label's clients send: files of any format that can be read, or samples without a header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from starlette.datastructures import UploadFile

from bedside.core.errors import FormatError, InputError
from bedside.core.files import scratch_folder
from bedside.io import write_mask
from bedside.io.isolated import read_uploaded
from bedside.serve.cleaning import UNPACKED
from bedside.serve.opened import OpenImage
from bedside.serve.routes.sent import receive
from bedside.serve.service import Service
from bedside.session.segmentations import read_file

if TYPE_CHECKING:
    from bedside.io.dicom.segments import SegmentSet

_RAW = ".bin"
"""Suffix of samples without a header, as OHIF sends them: one byte a voxel, or two (version 2)."""


@contextmanager
def sent_labels(service: Service, opened: OpenImage, file: UploadFile) -> Iterator[tuple[Path, SegmentSet]]:
    """Yield where a label map that was sent lies, and its segments on the image's grid; it is removed afterwards.

    Args:
        service: The sessions.
        opened: The image that it is of.
        file: What was sent.

    Raises:
        InputError: It cannot be read, or is not of the image.
    """
    with scratch_folder(service.folder / UNPACKED) as scratch:
        receive([file], scratch)
        (path,) = [found for found in scratch.rglob("*") if found.is_file()]
        if path.name.endswith(_RAW):
            path = _with_header(path, opened)
        try:
            found = read_file(path, opened.image, volume=service.item(opened.item).volume, sent=True)
            wrong = isinstance(found, tuple)
            if not isinstance(found, tuple) and not found.segments:
                # Without a voxel nothing of it lies elsewhere; it still is a mask of an image of its size.
                wrong = read_uploaded(path, mask=True).shape != opened.image.shape
        except (FormatError, InputError) as error:
            raise InputError("label", expected=error.expected, got=error.got, fix="send a mask of the image") from error
        if wrong or isinstance(found, tuple):
            raise InputError("label", expected=f"a mask of the image's shape {opened.image.shape}", got="another")
        yield path, found


def _with_header(path: Path, opened: OpenImage) -> Path:
    """Return a NIfTI file of samples without a header, x the fastest."""
    shape = opened.image.shape
    bytes_a_voxel = path.stat().st_size / np.prod(shape)
    if bytes_a_voxel not in (1, 2):
        got = f"{path.stat().st_size} bytes"
        raise InputError("label", expected=f"one byte a voxel of {shape}, or two", got=got)
    samples = np.fromfile(path, np.uint8 if bytes_a_voxel == 1 else np.dtype("<u2"))
    named = path.with_name("label.nii.gz")
    write_mask(named, samples.reshape(shape), opened.image.geometry)
    return named
