"""PNG, 8 and 16 bit."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.io.itk import array_of, read_itk
from bedside.io.raster import from_samples, on_black, open_picture, read_picture, write_png
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.samples import pick_volume
from bedside.io.tiff_display import upright

_HEADER_BYTES = 26
_COLOUR_BIT = 2
_OPACITY_BIT = 4
_ORIENTATION, _ORIENTATIONS = 274, 8
"""EXIF's tag, and its highest value."""
_STRETCHED = {2: 85, 4: 17}
"""What Pillow multiplies grey samples of so many bits with."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = (b"IHDR", b"IDAT", b"IEND")
_SIGNIFICANT_BITS = b"sBIT"
_NOTES = 2**16
"""Bytes at the beginning of a file, among which notes on its samples stand."""


def _recognises(head: bytes) -> bool:
    return head[:8] == _SIGNATURE


def _read(path: Path, options: ReadOptions) -> Image:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) == _HEADER_BYTES and header[24] == 16 and header[25] & (_COLOUR_BIT | _OPACITY_BIT):
        return _read_deep(path, options, grey=not header[25] & _COLOUR_BIT, opacity=bool(header[25] & _OPACITY_BIT))
    image = read_picture(path, options)
    if len(header) == _HEADER_BYTES and header[25] == 0 and (step := _STRETCHED.get(header[24])):
        # Pillow stretches few bits over eight, which would turn the label 1 into 85.
        return replace(image, array=image.array // np.uint8(step))
    return image


def _read_deep(path: Path, options: ReadOptions, *, grey: bool, opacity: bool) -> Image:
    """Return several channels of 16 bits, of which Pillow would keep 8."""
    pick_volume(path, 1, options.volume)
    with open_picture(path) as picture:  # What it declares is held against the file.
        orientation = int(picture.getexif().get(_ORIENTATION, 1))
    if grey:
        array = on_black(_grey_and_opacity(path))
    else:
        with _as_stored(path) as place:
            array = _read_colours(place, options, opacity=opacity)
    return from_samples(upright(array, orientation, 0) if 1 < orientation <= _ORIENTATIONS else array)


def _read_colours(path: Path, options: ReadOptions, *, opacity: bool) -> NDArray[Any]:
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    if not opacity:
        return np.asarray(read_itk(path, options, "PNGImageIO").array)
    return on_black(array_of(sitk.ReadImage(str(path), imageIO="PNGImageIO")))


def _grey_and_opacity(path: Path) -> NDArray[np.uint16]:
    """Return grey and opacity of 16 bits each, (y, x, 2), which neither library has a kind of picture for.

    The four bytes of a pixel are packed as those of four channels of 8 bits are, so the picture is read as such.
    """
    import PIL.Image

    content = bytearray(path.read_bytes())
    content[24:26] = bytes((8, _COLOUR_BIT | _OPACITY_BIT))
    content[29:33] = crc32(content[12:29]).to_bytes(4, "big")
    # Notes on the samples speak of two channels.
    stored = b"".join(chunk for kind, chunk in _chunks(bytes(content)) if kind in _NEEDED)
    with PIL.Image.open(io.BytesIO(_SIGNATURE + stored)) as picture:
        array = np.ascontiguousarray(np.asarray(picture))
    return array.view(">u2").astype(np.uint16)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind of each chunk, and all of it."""
    place = len(_SIGNATURE)
    while place + 12 <= len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], content[place:end]
        place = end


@contextmanager
def _as_stored(path: Path) -> Iterator[Path]:
    """Yield a file with the same samples, which ITK would shift where a note states how many bits are significant."""
    with path.open("rb") as file:
        noted = _SIGNIFICANT_BITS in file.read(_NOTES)
    if not noted:
        yield path
        return
    content = b"".join(chunk for kind, chunk in _chunks(path.read_bytes()) if kind != _SIGNIFICANT_BITS)
    with TemporaryDirectory(prefix="bedside-") as folder:
        place = Path(folder) / "stored.png"
        place.write_bytes(_SIGNATURE + content)
        yield place


READERS.register("png")(Reader("PNG", (".png",), _read, _recognises))
WRITERS.register("png")(Writer("PNG", (".png",), write_png, dimensions=(2,)))
