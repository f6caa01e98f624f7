"""NRRD, with the samples in the file or beside it."""

from __future__ import annotations

from pathlib import Path

from bedside.core.image import Image
from bedside.io.itk import read_itk, write_itk
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer

_ITK_NAME = "NrrdImageIO"


def _read(path: Path, options: ReadOptions) -> Image:
    return read_itk(path, options, _ITK_NAME, r"^(spacings|space directions)\s*:")


def _write(path: Path, image: Image, labels: bool) -> None:  # noqa: ARG001 - masks and images are stored alike
    write_itk(path, image, _ITK_NAME)


READERS.register("nrrd")(Reader("NRRD", (".nrrd", ".nhdr"), _read))
# A detached header would need two files to be replaced at once, so it is not written.
WRITERS.register("nrrd")(Writer("NRRD", (".nrrd",), _write))
