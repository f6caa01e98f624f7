"""Pictures read through Pillow, which several formats share: modes, palettes, transparency and orientation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.bounds import check_declared, check_memory
from bedside.io.registry import ReadOptions
from bedside.io.samples import native, pick_volume, storable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_STRIP = 2**22
"""Pixels that are converted at a time."""
_guard = threading.Lock()
_lifted: list[int | None] = []
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by type of colour."""
_OLD_BMP = 12
_INDEXED = ("P", "PA")
_TRANSPARENT = ("LA", "La", "RGBA", "RGBa")
_AS_THEY_ARE = ("L", "RGB", "F", "I", "I;16", "I;16L", "I;16B", "I;16N")


def read_picture(path: Path, options: ReadOptions) -> Image:
    """Return a PNG, JPEG or BMP, turned upright by its EXIF orientation; its spacing is unknown.

    A resolution in such a file speaks of printing or of a screen, so it is not taken for millimetres.

    Raises:
        FormatError: More pixels than this machine's memory holds.
    """
    import PIL.ImageOps

    pick_volume(path, 1, options.volume)
    with open_picture(path) as picture:
        PIL.ImageOps.exif_transpose(picture, in_place=True)
        return from_samples(in_strips(picture, options.labels))


@contextmanager
def open_picture(path: Path) -> Iterator[Picture]:
    """Yield a file opened by Pillow, whatever its size: the library's limit of pixels is no limit of ours.

    Raises:
        FormatError: More pixels than the file can hold, or than this machine's memory holds.
    """
    import PIL.Image

    with _without_limit(), PIL.Image.open(path) as picture:
        bands = max(1, len(picture.getbands()))
        # Decoded by the library, then copied to an array.
        check_memory(f"{path}: {picture.width} x {picture.height} pixels", 2 * picture.width * picture.height * bands)
        if (code := _code_of(picture)) is not None:
            bits = _bits_of(path, picture.format or "") or 8 * bands
            declared = picture.height * -(-picture.width * bits // 8)
            check_declared(f"{path}: {picture.width} x {picture.height} pixels", declared, path.stat().st_size, code)
        yield picture


def _code_of(picture: Picture) -> str | None:
    """Return the code of a picture's samples, as ``bounds.RATIO`` has it; None where it was checked before."""
    if picture.format == "BMP":
        return "raw" if [tile[0] for tile in getattr(picture, "tile", ())] == ["raw"] else "loose"
    return {"PNG": "deflate", "JPEG": "jpeg", "MPO": "jpeg", "TIFF": None}.get(picture.format or "", "loose")


def _bits_of(path: Path, kind: str) -> int:
    """Return the bits that a pixel takes in a PNG or BMP; 0 for others."""
    with path.open("rb") as file:
        head = file.read(32)
    if kind == "PNG":
        return head[24] * _PNG_SAMPLES.get(head[25], 1)
    if kind == "BMP":
        place = 24 if head[14] == _OLD_BMP else 28
        return int.from_bytes(head[place : place + 2], "little")
    return 0


@contextmanager
def _without_limit() -> Iterator[None]:
    """Lift Pillow's limit of pixels, which belongs to the process; the last of several to leave restores it."""
    import PIL.Image

    with _guard:
        _lifted.append(PIL.Image.MAX_IMAGE_PIXELS if not _lifted else _lifted[0])
        PIL.Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _guard:
            limit = _lifted.pop()
            if not _lifted:
                PIL.Image.MAX_IMAGE_PIXELS = limit


def in_strips(picture: Picture, labels: bool) -> NDArray[Any]:
    """Return the samples of a picture, taken out in strips, so that of a large one there is no third copy."""
    rows = max(1, _STRIP // max(1, picture.width))
    if rows >= picture.height:
        return samples_of(picture, labels)
    result: NDArray[Any] | None = None
    for top in range(0, picture.height, rows):
        bottom = min(picture.height, top + rows)
        strip = samples_of(picture.crop((0, top, picture.width, bottom)), labels)
        if result is None:
            result = np.empty((picture.height, *strip.shape[1:]), strip.dtype)
        result[top:bottom] = strip
    assert result is not None
    return result


def from_samples(array: NDArray[Any]) -> Image:
    """Return an image (y, x) or (y, x, 3) of unknown spacing."""
    return Image(array, Geometry.create(array.shape[:2]))


def samples_of(picture: Picture, labels: bool) -> NDArray[Any]:
    """Return the samples of an opened picture, (y, x) or (y, x, 3), at their bit depth.

    Args:
        picture: One frame.
        labels: An indexed picture gives its indices instead of its colours, and a bilevel one 0 and 1.
    """
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8) * np.uint8(1 if labels else 255)
    if picture.mode in _INDEXED and labels:
        return np.asarray(picture)[..., 0] if picture.mode == "PA" else np.asarray(picture)
    if picture.mode in _INDEXED:
        picture = picture.convert("RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB")
    if picture.mode in _TRANSPARENT:
        # The modes in lower case hold colours that are multiplied by their opacity.
        return on_black(np.asarray(picture.convert("LA" if picture.mode.startswith("L") else "RGBA")))
    if picture.mode not in _AS_THEY_ARE:
        picture = picture.convert("RGB")
    return native(np.asarray(picture))


def on_black(array: NDArray[Any]) -> NDArray[Any]:
    """Return samples (y, x, 2) or (y, x, 4) with their opacity last, laid on black: (y, x) or (y, x, 3).

    Where all is opaque the samples are as they were.
    """
    colour = array[..., 0] if array.shape[-1] == 2 else array[..., :-1]
    opacity = array[..., -1]
    opaque = np.iinfo(array.dtype).max
    if (opacity == opaque).all():
        return np.ascontiguousarray(colour)
    weight = (opacity if colour.ndim == opacity.ndim else opacity[..., None]).astype(np.float32) / opaque
    return np.rint(colour * weight).astype(array.dtype)


def write_png(path: Path, image: Image, labels: bool) -> None:  # noqa: ARG001 - masks and images are stored alike
    """Write grey of 8 or 16 bits or colour of 8.

    Raises:
        FormatError: Other samples.
    """
    import PIL.Image

    array = storable(image.array)
    if array.dtype != np.uint8 and (array.dtype != np.uint16 or image.is_colour):
        expected = "uint8" if image.is_colour else "uint8 or uint16"
        raise FormatError("PNG samples", expected=expected, got=str(array.dtype), fix="convert them, or use .tif")
    PIL.Image.fromarray(np.ascontiguousarray(array)).save(path, format="PNG")
