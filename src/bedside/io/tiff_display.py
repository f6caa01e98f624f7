"""What the stored samples of a TIFF mean: palettes, white-is-zero, upright pictures, calibrated grey values.

Sources: TIFF 6.0; ImageJ's TIFF encoder, whose 16-bit samples with a sign are stored with 32,768 added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.io.samples import rescale

_READ_AS_THEY_ARE = ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR", "MASK")
_LOSSLESS = ("NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "PACKBITS_PIXARLOG")
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2
_STRAIGHT_LINE = 0
_LARGEST_BYTE = 255


def check_colours(what: str, page: Any) -> None:
    """Reject colours that are no grey, palette or RGB.

    Args:
        what: The file, for the message.
        page: A page of tifffile's.

    Raises:
        FormatError: CMYK, CIELAB, filters of a camera and others; brightness and colour differences of a picture
            that is to be turned.
    """
    turned = has_brightness_and_colour(page) and orientation_of(page) != 1
    if page.photometric.name not in _READ_AS_THEY_ARE or turned:
        raise FormatError(
            what,
            expected="grey, RGB or RGBA",
            got=f"{page.photometric.name} with {page.samplesperpixel} samples in a pixel",
            fix="convert it to RGB first",
        )


def has_brightness_and_colour(page: Any) -> bool:
    """Return whether a page stores brightness and colour differences that its code does not turn into RGB."""
    return page.photometric.name == "YCBCR" and page.compression.name in _LOSSLESS


def are_channels(page: Any) -> bool:
    """Return whether the samples of a pixel are channels to choose from, and neither colours nor grey with opacity.

    Three grey ones are shown as colours.
    """
    if page.photometric.name not in ("MINISBLACK", "MINISWHITE"):
        return False
    opacity = any(kind in (_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA) for kind in page.extrasamples)
    return int(page.samplesperpixel) not in (1, 3) and not (page.samplesperpixel == 2 and opacity)


def display_values(array: NDArray[Any], page: Any) -> NDArray[Any]:
    """Return palette indices as colours, white-is-zero as black-is-zero, bits as 0 and 255."""
    if page.photometric.name == "PALETTE" and page.colormap is not None:
        colours = np.asarray(page.colormap).T
        # Some writers put bytes where 16 bits belong.
        shift = 0 if colours.max(initial=0) <= _LARGEST_BYTE else 8
        return np.asarray((colours >> shift).astype(np.uint8)[array])
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * np.uint8(255)
    if page.photometric.name == "MINISWHITE" and array.dtype.kind == "u":
        array = np.bitwise_not(array)
    return array


def orientation_of(page: Any) -> int:
    """Return the tag Orientation, 1 to 8; 1 where it is missing."""
    tag = page.tags.get("Orientation")
    value = int(tag.value) if tag is not None else 1
    return value if 1 <= value <= 8 else 1


def upright(array: NDArray[Any], orientation: int, rows: int) -> NDArray[Any]:
    """Return samples turned as the tag Orientation asks, as for EXIF.

    Args:
        array: Any samples whose columns follow their rows.
        orientation: 1 to 8.
        rows: The axis of the rows.
    """
    columns = rows + 1
    if orientation >= 5:
        array = np.swapaxes(array, rows, columns)
    if orientation in (2, 3, 6, 7):
        array = np.flip(array, columns)
    if orientation in (3, 4, 7, 8):
        array = np.flip(array, rows)
    return np.ascontiguousarray(array)


def calibrated_values(array: NDArray[Any], file: Any) -> NDArray[Any]:
    """Return grey values as ImageJ shows them, where the file states a straight line: ``c0 + c1 * stored``.

    Args:
        array: Grey samples.
        file: An open file of tifffile's.
    """
    metadata = file.imagej_metadata if file.is_imagej else None
    if not metadata or metadata.get("cf") != _STRAIGHT_LINE or array.dtype.kind not in "ui" or array.dtype.itemsize > 2:
        return array
    try:
        intercept, slope = float(metadata["c0"]), float(metadata["c1"])
    except (KeyError, TypeError, ValueError):
        return array
    if not (np.isfinite([intercept, slope]).all() and slope):
        return array
    return rescale(array, slope, intercept, reuse=array.flags.writeable)
