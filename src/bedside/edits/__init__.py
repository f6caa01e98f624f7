"""Classical tools on masks: fill, keep, smooth, grow, combine, compare with the image. Each registers an ``Edit``.

They work on a crop around the mask, so that their cost follows the object and not the image. Another package adds one
by an entry point of the group ``bedside.edits``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.no_data import absent
from bedside.core.region import Region
from bedside.core.registry import Registry

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Value:
    """The number that an edit takes.

    Attributes:
        unit: "mm", "voxels", "parts"; in an image without known spacing a mm is a pixel.
        default: What it is where none is given.
        least: The smallest that makes sense.
        most: The largest.
        whole: Whether it counts something.
    """

    unit: str
    default: float
    least: float
    most: float
    whole: bool = False


@dataclass(frozen=True)
class Edit:
    """A tool on a mask.

    Attributes:
        title: What a menu calls it.
        help: One sentence on what it does.
        compute: ``compute(mask, spacing, value)`` of a bool mask (z, y, x) or (y, x) with room around it, the spacing
            in mm in array order, and the number that it takes (0.0 where it takes none); returns a bool mask of the
            same shape. One that combines is given the other mask, bool of the same shape, in place of the number; one
            that looks at the image is given its samples as a fourth argument, float32 of the same shape, NaN beyond
            the image and where samples are no measurement.
        value: The number that it takes; None where it takes none.
        combines: Whether it takes another mask.
        looks: Whether it looks at the image, which has to be grey then.
        grows: How far in mm the mask may grow, by the number.
        grows_slices: How many voxels further it may grow, by the number.
        sliced: Whether it goes from slice to slice, of which a picture has none.
        goes_on: Whether a mask at the image's border is taken to go on beyond it, so that this is no border of its own.
    """

    title: str
    help: str
    compute: Callable[..., Mask]
    value: Value | None = None
    combines: bool = False
    grows: Callable[[float], float] = lambda _: 0.0
    goes_on: bool = False
    looks: bool = False
    grows_slices: Callable[[float], int] = lambda _: 0
    sliced: bool = False

    def check(self, name: str, value: float | None) -> float:
        """Return the number to work with.

        Args:
            name: Of the edit, for messages.
            value: As given; None for the default.

        Raises:
            InputError: It is out of range, not whole, or not asked for.
        """
        if self.value is None:
            if value is not None:
                raise InputError(f"edit '{name}'", expected="no number", got=f"{value:g}")
            return 0.0
        if value is None:
            return self.value.default
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise InputError(f"edit '{name}'", expected=f"a number of {self.value.unit}", got=repr(value)[:40])
        whole = "a whole number " if self.value.whole else "a number "
        sound = math.isfinite(value) and self.value.least <= value <= self.value.most
        if not sound or (self.value.whole and value != int(value)):
            raise InputError(
                f"edit '{name}'",
                expected=f"{whole}of {self.value.unit} from {self.value.least:g} to {self.value.most:g}",
                got=f"{value:g}",
            )
        return float(value)


EDITS: Registry[Edit] = Registry("edit", "bedside.edits", Edit)


def edit_mask(
    name: str,
    mask: PackedMask,
    shape: Sequence[int],
    spacing: Sequence[float],
    value: float | None = None,
    other: PackedMask | None = None,
    image: Image | None = None,
) -> PackedMask:
    """Return a mask after an edit.

    Args:
        name: Of the edit.
        mask: What it changes; an empty one stays empty but where another mask is added.
        shape: Of the image.
        spacing: In mm, in array order.
        value: The number that the edit takes; None for its default.
        other: The other mask, of an edit that combines two.
        image: What the mask is of, for an edit that looks at it.

    Raises:
        InputError: The edit is unknown, the number is out of range, another mask is missing or not asked for, or the
            image is missing or in colour, or the edit goes from slice to slice of a picture.

    Example:
        >>> cube = PackedMask.of_patch(np.ones((1, 1)), Region((4, 4), (5, 5)))
        >>> edit_mask("grow", cube, (9, 9), (1.0, 1.0), 1.0).voxels
        5
    """
    edit = EDITS.get(name)
    number = edit.check(name, value)
    if edit.combines != (other is not None):
        expected = "another mask" if edit.combines else "no other mask"
        raise InputError(f"edit '{name}'", expected=expected, got="none" if other is None else "one")
    if edit.looks and (image is None or image.is_colour):
        got = "no image" if image is None else "a picture in colour"
        raise InputError(f"edit '{name}'", expected="a grey image to look at", got=got)
    if edit.sliced and len(shape) == 2:
        raise InputError(f"edit '{name}'", expected="a volume or a film", got="a picture, which has one slice")
    around = mask.region if other is None else mask.region.union(other.region)
    if around.is_empty:
        return mask
    reach = edit.grows(number)
    # A voxel more on every side, so that what lies outside is seen to be outside.
    further = 1 + edit.grows_slices(number)
    margins = [math.ceil(reach / s) + further for s in spacing]
    start = tuple(a - m for a, m in zip(around.start, margins, strict=True))
    stop = tuple(b + m for b, m in zip(around.stop, margins, strict=True))
    room = Region(start, stop)
    inside = room.clip(shape)
    crop = _padded(mask, inside, room, goes_on=edit.goes_on)
    given = number if other is None else _padded(other, inside, room, goes_on=edit.goes_on)
    seen = (_samples(image, inside, room),) if edit.looks and image is not None else ()
    found = edit.compute(crop, tuple(spacing), given, *seen)
    kept = found[inside.shift([-a for a in room.start]).slices]
    return PackedMask.of_patch(kept.astype(np.uint8), inside)


def _samples(image: Image, inside: Region, room: Region) -> NDArray[np.float32]:
    """Return an image's samples in ``room``, NaN where there are none."""
    block = np.asarray(image.array[inside.slices])
    samples = np.full(room.shape, np.nan, dtype=np.float32)
    target = samples[inside.shift([-a for a in room.start]).slices]
    target[...] = block
    missing = absent(block, image.no_data)
    if missing is not None:
        target[missing] = np.nan
    return samples


def _padded(mask: PackedMask, inside: Region, room: Region, *, goes_on: bool) -> Mask:
    """Return the voxels of ``inside``, and around them those of a region that may reach beyond the image."""
    known = mask.patch(inside) != 0
    before = [b - a for a, b in zip(room.start, inside.start, strict=True)]
    after = [b - a for a, b in zip(inside.stop, room.stop, strict=True)]
    padded: Mask = np.pad(known, list(zip(before, after, strict=True)), mode="edge" if goes_on else "constant")
    return padded
