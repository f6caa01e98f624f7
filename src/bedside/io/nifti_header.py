"""Headers of NIfTI with fields that the format's own library puts right, and that nibabel takes for damage.

Source: nifti1.h and nifti2.h, and what niftilib, which ITK reads with, makes of them.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bedside.core.errors import FormatError

_NAMES = {1: "bits", 1536: "128-bit floats", 2048: "complex 256-bit samples", 0: "an unknown type"}
_UNITS_OF_SPACE, _UNITS_OF_TIME = 0b111, 0b111000
_KNOWN_SPACE, _KNOWN_TIME = (0, 1, 2, 3), (0, 8, 16, 24, 32, 40, 48)

_SHORT_HEADER = 348
"""Bytes of a header of NIfTI-1."""
_MOST_AXES = 7


def open_nifti(path: Path, kind: Any, header: Any, samples: Any) -> Any:
    """Return an image of nibabel's, whose header was put right.

    Args:
        path: For messages.
        kind: A class of images of nibabel's, NIfTI-1 or NIfTI-2.
        header: An open file at its beginning.
        samples: An open file with the samples; ``header`` itself where they are in the same file.

    Raises:
        FormatError: Samples of a type that is not read.
    """
    made = kind.header_class(_mended(path, kind, header.read(kind.header_class.sizeof_hdr)))
    return kind(kind.ImageArrayProxy(samples, made.copy(), mmap=False), None, made)


def _mended(path: Path, kind: Any, block: bytes) -> bytes:
    _check_axes(path, block, wide=kind.header_class.sizeof_hdr != _SHORT_HEADER)
    made = kind.header_class.from_fileobj(io.BytesIO(block + bytes(4)), check=False)
    code = int(made["datatype"])
    if code not in made._data_type_codes.value_set("code") or code in _NAMES:
        raise FormatError(
            f"{path}: samples of {_NAMES.get(code, f'datatype {code}')}",
            expected="integers or floats of up to 64 bits",
            fix="convert it to one of these first",
        )
    _mend_sizes(made)
    if bytes(made["magic"])[:3] in (b"n+1", b"n+2") and made["vox_offset"] == 0:
        made["vox_offset"] = made.single_vox_offset
    slope, intercept = float(made["scl_slope"]), float(made["scl_inter"])
    if np.isfinite(slope) and not np.isfinite(intercept):
        made["scl_inter"] = 0
    units = int(made["xyzt_units"])
    space, time = units & _UNITS_OF_SPACE, units & _UNITS_OF_TIME
    made["xyzt_units"] = (space if space in _KNOWN_SPACE else 0) + (time if time in _KNOWN_TIME else 0)
    quaternion = np.array([float(made[f"quatern_{axis}"]) for axis in "bcd"])
    length = float(np.linalg.norm(quaternion))
    # What nibabel takes for rounding stays as it is, so that it is carried unchanged to masks.
    if np.isfinite(length) and length**2 > 1 + 3 * np.finfo(np.float32).eps:
        for axis, value in zip("bcd", quaternion / length, strict=True):
            # A little less than 1, because single precision may round up.
            made[f"quatern_{axis}"] = value * (1 - 1e-7)
    return bytes(made.binaryblock)


def _check_axes(path: Path, block: bytes, *, wide: bool) -> None:
    """Look at the number of axes, from which nibabel guesses the order of bytes, too.

    Raises:
        FormatError: It is none of 1 to 7.
    """
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        if int.from_bytes(block[:4], order) == len(block):
            count = int.from_bytes(block[16:24] if wide else block[40:42], order, signed=True)
            if not 1 <= count <= _MOST_AXES:
                raise FormatError(f"{path}: dim[0]", expected=f"1 to {_MOST_AXES} axes", got=count)


def _mend_sizes(made: Any) -> None:
    """Axes within the dimensions that are declared have one sample at least, after the first."""
    count = int(made["dim"][0])
    if 1 <= count <= _MOST_AXES:
        sizes = made["dim"][2 : count + 1]
        sizes[sizes <= 0] = 1
