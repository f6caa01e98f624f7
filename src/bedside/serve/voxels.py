"""Images as the page takes them: an uncompressed NIfTI stream, or a picture as PNG."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.formats.nifti import affine_from_geometry

CHUNK = 4 * 2**20
HEADER_BYTES = 352
_CODES = {"uint8": 2, "int16": 4, "float32": 16, "uint16": 512}
"""NIfTI-1's codes of the dtypes that the page's viewer shows without converting."""
_MILLIMETRES, _SCANNER = 2, 1
_LARGEST = 32767
"""Samples along an axis: NIfTI-1 counts them in 16 signed bits."""


def affine_of(geometry: Geometry) -> NDArray[np.float64]:
    """Return the affine (4, 4) from index (x, y, z) to RAS millimetres; a picture gets a third axis of 1 mm."""
    return affine_from_geometry(geometry)


def stored_dtype(array: NDArray[Any]) -> np.dtype[Any]:
    """Return the dtype that an image is sent in: its own, or the smallest of uint8, int16, uint16, float32 that holds
    it.

    Whole numbers beyond 16 bits become float32, which is exact up to 2**24.
    """
    if array.dtype.name in _CODES:
        return np.dtype(array.dtype.name)
    if array.dtype.kind == "b":
        return np.dtype(np.uint8)
    if array.dtype.kind in "ui":
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        for name in ("uint8", "int16", "uint16"):
            limits = np.iinfo(name)
            if limits.min <= low and high <= limits.max:
                return np.dtype(name)
    return np.dtype(np.float32)


def nifti_header(geometry: Geometry, dtype: np.dtype[Any]) -> bytes:
    """Return the 352 bytes before the samples of a NIfTI-1 file (.nii), little endian; a picture becomes one slice.

    Layout: the NIfTI-1.1 standard, nifti1.h.

    Raises:
        InputError: An axis is longer than the format can say.
    """
    if max(geometry.shape) > _LARGEST:
        raise InputError("image", expected=f"at most {_LARGEST} samples along an axis", got=geometry.shape)
    size = (*geometry.shape[::-1], 1)[:3]
    spacing = (*geometry.spacing, 1.0)[:3]
    affine = affine_of(geometry)
    b, c, d, handedness = _quaternion(affine, spacing)
    code = _SCANNER if geometry.spacing_known else 0
    header = bytearray(HEADER_BYTES)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *size, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, _CODES[dtype.name], dtype.itemsize * 8)
    struct.pack_into("<8f", header, 76, handedness, *spacing, 1, 1, 1, 1)
    struct.pack_into("<f2f", header, 108, HEADER_BYTES, 1, 0)  # Offset of the samples, slope, intercept.
    header[123] = _MILLIMETRES if geometry.spacing_known else 0
    struct.pack_into("<2h", header, 252, code, code)
    struct.pack_into("<6f", header, 256, b, c, d, *affine[:3, 3])
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header)


def _quaternion(affine: NDArray[np.float64], spacing: tuple[float, ...]) -> tuple[float, float, float, float]:
    """Return parameters b, c, d of the rotation, and -1 where the axes are left-handed (nifti1.h, method 2)."""
    from scipy.spatial.transform import Rotation

    rotation = affine[:3, :3] / np.asarray(spacing)
    handedness = -1.0 if np.linalg.det(rotation) < 0 else 1.0
    rotation = rotation * (1, 1, handedness)
    b, c, d, _ = Rotation.from_matrix(rotation).as_quat(canonical=True)
    return float(b), float(c), float(d), handedness


def nifti_size(geometry: Geometry, dtype: np.dtype[Any]) -> int:
    """Return bytes of the whole file."""
    return HEADER_BYTES + int(np.prod(geometry.shape, dtype=np.int64)) * dtype.itemsize


def nifti_stream(array: NDArray[Any], geometry: Geometry, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Yield the file in pieces: no second copy of the volume is made.

    Args:
        array: (z, y, x) or (y, x).
        geometry: Its grid.
        dtype: What to send it in; see ``stored_dtype``.
    """
    yield nifti_header(geometry, dtype)
    planes = array if array.ndim == 3 else array[None]
    step = max(1, CHUNK // max(1, planes[0].size * dtype.itemsize))
    for start in range(0, len(planes), step):
        part = planes[start : start + step]
        # Voxels of a float volume beyond what float32 holds would come as infinite, which no viewer shows.
        # Nothing is yielded from within: each piece may be asked for in another thread, which has its own settings.
        with np.errstate(over="ignore"):
            piece = np.ascontiguousarray(part, dtype=dtype.newbyteorder("<")).tobytes()
        yield piece


def picture(image: Image, level: float, width: float) -> bytes:
    """Return a two-dimensional image as PNG: colour and 8 bit grey as they are, other grey through a display window.

    Raises:
        InputError: The image is a volume, or the window has no width.
    """
    from PIL import Image as Picture

    if image.ndim != 2:
        raise InputError("picture", expected="an image of two axes", got="a volume", fix="ask for image.nii")
    array = image.array
    if array.dtype != np.uint8:
        if not width > 0:
            raise InputError("width of the display window", expected="a number above 0", got=width)
        low = level - width / 2
        scaled = (array.astype(np.float32) - low) * (255.0 / width)
        array = np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Picture.fromarray(np.ascontiguousarray(array)).save(stream, format="PNG", compress_level=1)
    return stream.getvalue()
