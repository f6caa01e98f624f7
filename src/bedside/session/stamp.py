"""What identifies the image of a journal: a content hash and its grid."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.pyramid import is_pyramid, overview_of


def content_hash(array: NDArray[Any]) -> str:
    """Return SHA-256 (hexadecimal) of an array's shape, dtype and samples, whatever its memory layout or byte order.

    The samples are taken slice by slice, so that a volume mapped from disk is never copied whole.
    """
    if is_pyramid(array):
        # Of an image that is too large to read, its coarsest level and its size.
        return content_hash(np.concatenate([overview_of(array).ravel(), np.array(array.shape).astype(array.dtype)]))
    little_endian = array.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{array.shape} {little_endian.str}\n".encode())
    for part in array:
        digest.update(np.ascontiguousarray(part, dtype=little_endian).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class ImageStamp:
    """The image that a journal belongs to.

    Attributes:
        sha256: ``content_hash`` of the image's array.
        shape: The array's shape, colour samples included.
        dtype: NumPy's name of the array's dtype.
        geometry: The image's grid; prompts in the frame ``world`` depend on it.
    """

    sha256: str
    shape: tuple[int, ...]
    dtype: str
    geometry: Geometry

    @classmethod
    def of(cls, image: Image) -> ImageStamp:
        """Return the stamp of ``image``; reads every sample once."""
        array = image.array
        return cls(content_hash(array), array.shape, array.dtype.name, image.geometry)

    def check(self, other: ImageStamp, world_prompts: bool) -> None:
        """Make sure that ``other``, the image at hand, is the one stamped.

        Args:
            other: Stamp of the image at hand.
            world_prompts: Whether the journal holds prompts in the frame ``world``, so that the grids must
                match too and not the samples alone.

        Raises:
            InputError: It is another image.
        """
        fix = "open the image that the journal was made on"
        if self.shape != other.shape:
            raise InputError("journal of another image", expected=f"shape {self.shape}", got=other.shape, fix=fix)
        if self.sha256 != other.sha256:
            raise InputError(
                "journal of another image",
                expected=f"content sha256 {self.sha256[:12]}... ({self.dtype})",
                got=f"{other.sha256[:12]}... ({other.dtype}) of the same shape",
                fix=fix,
            )
        if world_prompts and not self.geometry.matches(other.geometry):
            raise InputError(
                "journal of an image that lies elsewhere in the world",
                expected=f"spacing {self.geometry.spacing} and origin {self.geometry.origin}",
                got=f"{other.geometry.spacing} and {other.geometry.origin}",
                fix=fix,
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "sha256": self.sha256,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "geometry": self.geometry.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImageStamp:
        """Return the inverse of ``to_dict``.

        Raises:
            FormatError: A field is missing or unusable.
        """
        try:
            grid = data["geometry"]
            spacing = grid["spacing"] if grid.get("spacing_known", True) else None
            geometry = Geometry.create(grid["shape"], spacing, grid["origin"], grid["direction"])
            shape = tuple(int(n) for n in data["shape"])
            if shape[: geometry.ndim] != geometry.shape:
                raise FormatError("geometry", expected=f"the shape {shape}", got=geometry.shape)
            return cls(str(data["sha256"]), shape, str(data["dtype"]), geometry)
        except (BedsideError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise FormatError(
                "journal image",
                expected="sha256, shape, dtype and geometry",
                got=f"{type(error).__name__}: {error}",
            ) from error
