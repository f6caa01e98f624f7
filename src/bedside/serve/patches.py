"""Masks and label maps of boxes on their way between server and page."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.labels import OverlapPolicy
from bedside.core.mask import PackedMask
from bedside.core.region import Region

LEVEL = 1
"""zlib's fastest: packed bits of a mask at level 6 take five times as long and are a sixth smaller."""


@dataclass(frozen=True)
class Layer:
    """An object as it is painted: its number, and its mask."""

    number: int
    mask: PackedMask


def encode(array: NDArray[Any]) -> str:
    """Return the bytes of an array (C order), deflated, as base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).data, LEVEL)).decode("ascii")


def encode_bits(mask: NDArray[np.uint8]) -> str:
    """Return a 0/1 mask: eight voxels a byte, deflated, as base64."""
    return encode(np.packbits(mask))


def decode_bits(text: str, shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return the inverse of ``encode_bits``, which trusts nothing in ``text``.

    Raises:
        InputError: It does not hold the bits of a mask of ``shape``.
    """
    voxels = math.prod(shape)
    size = -(-voxels // 8)
    try:
        # Inflated no further than the box needs: a short text may become gigabytes.
        packed = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (ValueError, zlib.error) as error:
        raise InputError("brush", expected="base64 of the deflated bits of a mask", got=str(error)) from error
    if len(packed) != size:
        raise InputError("brush", expected=f"{size} bytes of bits for {voxels} voxels", got=f"{len(packed)} bytes")
    return np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=voxels).reshape(tuple(shape))


def crop(mask: PackedMask, within: Region) -> NDArray[np.uint8]:
    """Return the part of a mask within a region, uint8 0/1 of the region's shape."""
    result = np.zeros(within.shape, dtype=np.uint8)
    inner = mask.region.intersection(within)
    if not inner.is_empty:
        part = mask.patch()[inner.shift([-a for a in mask.region.start]).slices]
        result[inner.shift([-a for a in within.start]).slices] = part
    return result


def paint_labels(layers: Sequence[Layer], within: Region, policy: OverlapPolicy) -> NDArray[Any]:
    """Return who is seen at each voxel of a region.

    Args:
        layers: The visible objects, in the order of their labels.
        within: The region.
        policy: "overwrite" shows the later of two objects, anything else the earlier.

    Returns:
        Numbers of objects, 0 for none: uint8, or uint16 where a number is above 255, of the region's shape.
    """
    wide = any(layer.number > np.iinfo(np.uint8).max for layer in layers)
    labels = np.zeros(within.shape, dtype=np.uint16 if wide else np.uint8)
    # The last one painted is seen.
    for layer in layers if policy == "overwrite" else reversed(layers):
        inner = layer.mask.region.intersection(within)
        if inner.is_empty:
            continue
        part = layer.mask.patch()[inner.shift([-a for a in layer.mask.region.start]).slices]
        labels[inner.shift([-a for a in within.start]).slices][part != 0] = layer.number
    return labels


def dtype_name(labels: NDArray[Any]) -> Literal["uint8", "uint16"]:
    """Name of the dtype of a painted label map."""
    return "uint16" if labels.dtype == np.uint16 else "uint8"


def whole_box(layers: Sequence[Layer], dimensions: int) -> Region:
    """Return the smallest region that holds all objects."""
    union = Region.empty(dimensions)
    for layer in layers:
        union = union.union(layer.mask.region)
    return union
