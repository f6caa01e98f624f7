"""PNG, 8 and 16 bit."""

from __future__ import annotations

from pathlib import Path

from bedside.core.image import Image
from bedside.io.itk import array_of, read_itk
from bedside.io.raster import from_samples, on_black, open_picture, read_picture, write_png
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer

_HEADER_BYTES = 26
_COLOUR_BIT = 2
_OPACITY_BIT = 4


def _recognises(head: bytes) -> bool:
    return head[:8] == b"\x89PNG\r\n\x1a\n"


def _read(path: Path, options: ReadOptions) -> Image:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) == _HEADER_BYTES and header[24] == 16 and header[25] & (_COLOUR_BIT | _OPACITY_BIT):
        return _read_deep(path, options, opacity=bool(header[25] & _OPACITY_BIT))
    return read_picture(path, options)


def _read_deep(path: Path, options: ReadOptions, *, opacity: bool) -> Image:
    """Return several channels of 16 bits, of which Pillow would keep 8."""
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    with open_picture(path):
        pass  # What it declares is held against the file.
    if not opacity:
        return from_samples(read_itk(path, options, "PNGImageIO").array)
    return from_samples(on_black(array_of(sitk.ReadImage(str(path), imageIO="PNGImageIO"))))


READERS.register("png")(Reader("PNG", (".png",), _read, _recognises))
WRITERS.register("png")(Writer("PNG", (".png",), write_png, dimensions=(2,)))
