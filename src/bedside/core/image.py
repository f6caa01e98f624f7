"""An image: its samples and where they lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.no_data import Ranges, find_ranges
from bedside.core.pyramid import overview_of


@dataclass(frozen=True, eq=False)
class Image:
    """A 2D image or a volume with its geometry.

    Attributes:
        array: (y, x), (y, x, 3) or (z, y, x); any real dtype, kept as the file stores it. Of an image that is too large
            to read, a ``core.pyramid.Pyramid``, which gives blocks as an array does.
        geometry: Grid of the spatial axes.
        modality: "CT", "MR", "PET", "US", ...; None where unknown.
        source: Path that it was read from, for messages and manifests.
        metadata: What a reader found worth keeping (series, description), plain values; under "notes" what a user
            should be told of the reading.
        padding: Ranges of samples, both ends included, that the file declares to be no measurement.
    """

    array: NDArray[Any]
    geometry: Geometry
    modality: str | None = None
    source: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    padding: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.array.shape[: self.geometry.ndim] != self.geometry.shape:
            raise FormatError("image", expected=f"an array of shape {self.geometry.shape}", got=self.array.shape)
        extra = self.array.shape[self.geometry.ndim :]
        if extra not in ((), (3,)) or (extra and self.geometry.ndim == 3):
            raise FormatError("image", expected="a grey image, an RGB image or a grey volume", got=self.array.shape)
        if self.array.dtype.kind not in "buif":
            raise FormatError("image", expected="real numbers", got=f"dtype {self.array.dtype}")

    @classmethod
    def from_array(
        cls, array: NDArray[Any], spacing: tuple[float, ...] | None = None, modality: str | None = None
    ) -> Image:
        """Return an image from samples alone: (y, x), (y, x, 3) or (z, y, x); ``spacing`` in mm, (x, y, z) order.

        An array whose last axis has three samples is taken for RGB. One sample on the last axis, or four of which the
        last is opaque, are channels, too, unless three spacings say that the axis is one of space.

        Raises:
            FormatError: Two or four channels that are neither grey nor colour.
        """
        if (spacing is None or len(spacing) == 2) and looks_like_channels(array.shape):
            array = drop_channels(array, "array")
        spatial = array.shape[:2] if array.shape[2:] == (3,) else array.shape
        return cls(np.asarray(array), Geometry.create(spatial, spacing), modality=modality)

    @property
    def ndim(self) -> int:
        """Spatial axes, 2 or 3."""
        return self.geometry.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape, (z, y, x) or (y, x)."""
        return self.geometry.shape

    @cached_property
    def no_data(self) -> Ranges:
        """Ranges of samples that are no measurement, as far as that is declared or can be seen."""
        return find_ranges(overview_of(self.array), self.ndim, self.modality, self.padding)

    @property
    def is_colour(self) -> bool:
        """Whether the array has a last axis of three colour samples."""
        return self.array.ndim > self.geometry.ndim


def looks_like_channels(shape: tuple[int, ...]) -> bool:
    """Return whether the last of three axes holds 1, 2 or 4 channels of a picture: no volume is so thin across."""
    return len(shape) == 3 and shape[2] in (1, 2, 4) and min(shape[:2]) >= _LEAST_SIDE


_LEAST_SIDE = 8
"""Pixels along the shorter side of a picture that is told by its channels."""


def drop_channels(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Return the picture (y, x) or (y, x, 3) in an array (y, x, 1), or (y, x, 4) of which the last channel is opaque.

    Args:
        array: Samples with one, two or four channels.
        what: What it is, for the message.

    Raises:
        FormatError: Other channels.
    """
    channels = array.shape[-1]
    if channels == 1:
        return np.ascontiguousarray(array[..., 0])
    opaque = np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1.0
    if channels == 4 and array.dtype.kind in "uif" and bool((array[..., 3] == opaque).all()):
        return np.ascontiguousarray(array[..., :3])
    raise FormatError(
        f"{what} of shape {array.shape}",
        expected="1 or 3 channels, or a fourth that is opacity and opaque everywhere",
        got=f"{channels} channels",
        fix="choose the channels to look at; of a volume, put x last and name its three spacings",
    )
