"""The prompt that is a mask, kept as the packed bits of the box that it fills and not as an array of the image."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry
from bedside.core.mask import PackedMask
from bedside.core.region import Region


@dataclass(frozen=True, eq=False, init=False)
class InitialMask:
    """A mask of the object to start from, made earlier or by another tool; it replaces the current mask.

    Every stroke of a brush is one, so that a session holds many of them: only the box that holds the object is kept.

    Attributes:
        shape: Spatial shape of the image, (z, y, x) or (y, x).
        packed: Voxels of the object.
    """

    shape: tuple[int, ...]
    packed: PackedMask
    frame: ClassVar[Literal["index"]] = "index"
    positive: ClassVar[bool] = True
    kind: ClassVar[str] = "mask"

    def __init__(self, mask: NDArray[Any]) -> None:
        """Take the voxels of ``mask``, (z, y, x) or (y, x) on the image's grid, that are not zero."""
        array = np.asarray(mask)
        self._keep(array, Region.whole(array.shape), array.shape)

    @classmethod
    def of_patch(cls, patch: NDArray[Any], region: Region, shape: tuple[int, ...]) -> InitialMask:
        """Return the voxels of ``patch``, which covers ``region`` of an image of ``shape``, that are not zero."""
        made = cls.__new__(cls)
        made._keep(np.asarray(patch), region, shape)
        return made

    def _keep(self, patch: NDArray[Any], region: Region, shape: tuple[int, ...]) -> None:
        if len(shape) not in (2, 3):
            raise PromptError("initial mask", expected="2 or 3 axes", got=len(shape))
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        object.__setattr__(self, "packed", PackedMask.of_patch(patch, region))

    @property
    def region(self) -> Region:
        """The smallest region that holds the object; empty for an empty mask."""
        return self.packed.region

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The whole mask, bool of ``shape``, read-only; made again each time."""
        result = self.packed.patch(Region.whole(self.shape)).astype(np.bool_)
        result.flags.writeable = False
        return result

    def differing(self, other: InitialMask) -> InitialMask:
        """Return the voxels in which this mask and ``other``, of the same shape, differ; by them either becomes the
        other.
        """
        made = InitialMask.__new__(InitialMask)
        object.__setattr__(made, "shape", self.shape)
        object.__setattr__(made, "packed", self.packed.differing(other.packed))
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InitialMask) and (self.shape, self.packed) == (other.shape, other.packed)

    def __hash__(self) -> int:
        return hash((self.shape, self.packed))

    @property
    def ndim(self) -> int:
        """Dimensions of the mask, 2 or 3."""
        return len(self.shape)

    def vertices(self) -> NDArray[np.float64]:
        """Return first and last voxel of the grid, (2, n)."""
        return np.array([(0.0,) * self.ndim, tuple(float(s - 1) for s in self.shape[::-1])])

    def to_index(self, geometry: Geometry) -> InitialMask:
        """Return itself: a mask lies on the image's grid already.

        Raises:
            PromptError: The mask has another shape than the image.
        """
        if self.shape != geometry.shape:
            raise PromptError("initial mask", expected=f"the image's shape {geometry.shape}", got=self.shape)
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: the bits of ``box`` (none where it is the whole), deflated and
        base64-encoded.
        """
        packed = base64.b64encode(zlib.compress(self.packed.bits.tobytes(), 9)).decode("ascii")
        box = {"box": [list(self.region.start), list(self.region.stop)]}
        whole = self.region == Region.whole(self.shape)
        return {"kind": self.kind, "shape": list(self.shape), **({} if whole else box), "bits": packed}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> InitialMask:
        """Return the inverse of ``to_dict``, which trusts nothing in ``data``.

        Raises:
            PromptError: The bits are not those of the shape or box.
            ValueError: The bits cannot be decoded.
        """
        shape = tuple(int(s) for s in data["shape"])
        region = _box(data.get("box"), shape)
        voxels = math.prod(region.shape)
        # Inflated no further than the box needs: a hostile file may hold a short text that becomes gigabytes.
        limit = max(1, min(voxels, 2**40) // 8 + 2)
        inflater = zlib.decompressobj()
        inflated = inflater.decompress(base64.b64decode(data["bits"]), limit)
        if not inflater.eof:
            raise ValueError(f"the bits of a mask of shape {region.shape} end too early or go on too long")
        packed = np.frombuffer(inflated, dtype=np.uint8)
        # unpackbits would fill what is missing with zeros.
        if any(s < 1 for s in shape) or len(packed) != -(-voxels // 8):
            raise PromptError(
                "initial mask", expected=f"the bits of a mask of shape {region.shape}", got=f"{len(packed)} bytes"
            )
        bits = np.unpackbits(packed, count=voxels)
        return cls.of_patch(bits.reshape(region.shape), region, shape)


def _box(value: Any, shape: tuple[int, ...]) -> Region:
    """Return the region that a record's field ``box`` names; the whole where there is none."""
    whole = Region.whole(shape)
    if value is None:
        return whole
    start, stop = (tuple(int(n) for n in corner) for corner in value)
    region = Region(start, stop)
    if len(start) != len(shape) or len(stop) != len(shape) or region.clip(shape) != region:
        raise PromptError("initial mask", expected=f"a box within the shape {shape}", got=value)
    return region
