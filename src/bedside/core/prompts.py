"""What a user points with: boxes, points, scribbles, lassos and masks, each carrying its frame.

All coordinates are in (x, y) or (x, y, z) order. In the frame ``index`` they are continuous voxel coordinates with
the centre of the first voxel at 0; in the frame ``world`` they are millimetres in LPS.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry
from bedside.core.initial_mask import InitialMask
from bedside.core.outside import coordinates_text, missed_axis, outside_error, overhang, size_text
from bedside.core.vertices import Coordinates

__all__ = [
    "Box",
    "Coordinates",
    "DEFAULT_THICKNESS",
    "Frame",
    "InitialMask",
    "Lasso",
    "PROMPT_KINDS",
    "Point",
    "Prompt",
    "Scribble",
    "given_coordinates",
    "left_out",
    "place_prompt",
    "prompt_from_dict",
]

Frame = Literal["index", "world"]

FARTHEST = 1e9
"""Voxels or mm: no image reaches so far, and arithmetic on larger numbers loses the voxels."""
DEFAULT_THICKNESS = 2.0
"""Width of a scribble's stroke in voxels (nnInteractive's preferred thickness)."""


def _coordinates(values: object, what: str) -> Coordinates:
    result = _numbers(values, what)
    if len(result) not in (2, 3):
        raise PromptError(what, expected="2 or 3 coordinates", got=len(result))
    if not np.all(np.isfinite(result)):
        raise PromptError(what, expected="finite coordinates", got=coordinates_text(result))
    if np.abs(result).max() > FARTHEST:
        raise PromptError(what, expected=f"coordinates up to {FARTHEST:,.0f}", got=coordinates_text(result))
    return result


def _numbers(values: object, what: str) -> Coordinates:
    # Text is a sequence, too: "12" would pass for the coordinates 1 and 2.
    try:
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise TypeError
        given = tuple(values)
        if any(isinstance(value, str | bytes) for value in given):
            raise TypeError
        return tuple(float(value) for value in given)
    except (TypeError, ValueError, OverflowError) as error:
        raise PromptError(what, expected="numbers", got=repr(values)[:80]) from error


def _polyline(points: object, what: str, at_least: int) -> tuple[Coordinates, ...]:
    if isinstance(points, str | bytes) or not isinstance(points, Iterable):
        raise PromptError(what, expected="a list of points", got=repr(points)[:80])
    result = tuple(_numbers(p, what) for p in points)
    if not are_coordinates(result):
        # One by one, for the message.
        result = tuple(_coordinates(p, what) for p in result)
    if len(result) < at_least:
        raise PromptError(what, expected=f"at least {at_least} points", got=len(result))
    if len({len(p) for p in result}) != 1:
        raise PromptError(what, expected="points of equal dimension")
    return result


def are_coordinates(points: tuple[Coordinates, ...]) -> bool:
    """Return whether points have 2 or 3 coordinates, all of them as many, which are finite and not too far."""
    if len({len(p) for p in points}) != 1 or len(points[0]) not in (2, 3):
        return False
    return bool((np.abs(np.array(points)) <= FARTHEST).all())


def _check_frame(frame: str) -> None:
    # Anything but "index" would otherwise be converted as if it were millimetres.
    if not isinstance(frame, str) or frame not in get_args(Frame):
        raise PromptError("prompt", expected="the frame index or world", got=repr(frame))


def _flag(data: Mapping[str, Any], name: str) -> bool:
    # bool("false") is True, so text must not pass for a truth value.
    value = data.get(name, True)
    if not isinstance(value, bool):
        raise PromptError(f"prompt's '{name}'", expected="true or false", got=repr(value))
    return value


@dataclass(frozen=True)
class Point:
    """A click.

    Attributes:
        position: (x, y) or (x, y, z).
        positive: True on the object, False on what must not belong to it.
    """

    position: Coordinates
    positive: bool = True
    frame: Frame = "index"
    kind: ClassVar[str] = "point"

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", _coordinates(self.position, "point"))
        _check_frame(self.frame)

    @property
    def ndim(self) -> int:
        """Dimensions of its coordinates, 2 or 3."""
        return len(self.position)

    def vertices(self) -> NDArray[np.float64]:
        """Return every coordinate it holds, (1, n)."""
        return np.array([self.position])

    def to_index(self, geometry: Geometry) -> Point:
        """Return the same point in the frame ``index`` of ``geometry``."""
        if self.frame == "index":
            return self
        return replace(self, position=tuple(geometry.world_to_index(self.position)), frame="index")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {"kind": self.kind, "position": list(self.position), "positive": self.positive, "frame": self.frame}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Point:
        """Return the inverse of ``to_dict``."""
        return cls(data["position"], _flag(data, "positive"), data.get("frame", "index"))


@dataclass(frozen=True)
class Box:
    """An axis-aligned box, inclusive-exclusive.

    In the frame ``index`` its faces lie at ``low - 0.5`` and ``high - 0.5`` in continuous coordinates, so that
    with whole numbers it holds the voxels with ``low <= index < high``. In the frame ``world`` the two corners
    are the positions of the faces themselves, in mm.

    Attributes:
        low: (x, y) or (x, y, z), the smaller corner.
        high: The larger corner, greater than ``low`` on every axis (in the world frame in any order).
        positive: False for a box around what must not belong to the object.
    """

    low: Coordinates
    high: Coordinates
    positive: bool = True
    frame: Frame = "index"
    kind: ClassVar[str] = "box"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _coordinates(self.low, "box"))
        object.__setattr__(self, "high", _coordinates(self.high, "box"))
        _check_frame(self.frame)
        if len(self.low) != len(self.high):
            got = f"{len(self.low)} and {len(self.high)} coordinates"
            raise PromptError("box", expected="two corners of equal dimension", got=got)
        if self.frame == "index" and any(a >= b for a, b in zip(self.low, self.high, strict=True)):
            raise PromptError(
                "box",
                expected="each end to be larger than its start",
                got=f"{coordinates_text(self.low)} to {coordinates_text(self.high)}",
                fix="give x0,y0,x1,y1 or x0,y0,z0,x1,y1,z1 with the end exclusive",
            )

    @property
    def ndim(self) -> int:
        """Dimensions of its coordinates, 2 or 3."""
        return len(self.low)

    def vertices(self) -> NDArray[np.float64]:
        """Return its two corners as coordinates of the faces, (2, n); in the frame ``index`` these are continuous."""
        shift = 0.5 if self.frame == "index" else 0.0
        return np.array([self.low, self.high]) - shift

    def to_index(self, geometry: Geometry) -> Box:
        """Return the same box in the frame ``index``: the bounding box of its corners where the axes are oblique."""
        if self.frame == "index":
            return self
        corners = np.array(np.meshgrid(*zip(self.low, self.high, strict=True))).reshape(self.ndim, -1).T
        index = geometry.world_to_index(corners) + 0.5
        # Rounding to a thousandth of a voxel keeps a box that was made from voxels from gaining one.
        low, high = np.round(index.min(axis=0), 3), np.round(index.max(axis=0), 3)
        return Box(tuple(low), tuple(high), self.positive, "index")

    def to_world(self, geometry: Geometry) -> Box:
        """Return the same box in the frame ``world``; exact where the axes are those of the world."""
        if self.frame == "world":
            return self
        corners = geometry.index_to_world(self.vertices())
        return Box(tuple(corners.min(axis=0)), tuple(corners.max(axis=0)), self.positive, "world")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "kind": self.kind,
            "low": list(self.low),
            "high": list(self.high),
            "positive": self.positive,
            "frame": self.frame,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Box:
        """Return the inverse of ``to_dict``."""
        return cls(data["low"], data["high"], _flag(data, "positive"), data.get("frame", "index"))


@dataclass(frozen=True)
class Scribble:
    """A stroke drawn freehand, on one slice of a volume or across several.

    Attributes:
        points: Vertices of the stroke, each (x, y) or (x, y, z).
        positive: False for a stroke on what must not belong to the object.
        connected: Whether consecutive vertices are joined; False for a set of separate voxels (a mask's).
        thickness: Width of the stroke in voxels.
    """

    points: tuple[Coordinates, ...]
    positive: bool = True
    frame: Frame = "index"
    connected: bool = True
    thickness: float = DEFAULT_THICKNESS
    kind: ClassVar[str] = "scribble"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _polyline(self.points, "scribble", 1))
        _check_frame(self.frame)
        object.__setattr__(self, "thickness", _numbers((self.thickness,), "scribble's thickness")[0])
        if not 0 < self.thickness < 1000:
            raise PromptError("scribble", expected="a thickness in voxels above 0", got=self.thickness)

    @classmethod
    def from_mask(cls, mask: NDArray[Any], positive: bool = True) -> Scribble:
        """Return the voxels of ``mask`` (z, y, x) or (y, x) that are not zero, as a stroke one voxel wide.

        Raises:
            PromptError: The mask is empty.
        """
        index = np.argwhere(mask)[:, ::-1]
        if len(index) == 0:
            raise PromptError("scribble", expected="at least one marked voxel", got="an empty mask")
        return cls(tuple(tuple(map(float, p)) for p in index), positive, "index", connected=False, thickness=1.0)

    @property
    def ndim(self) -> int:
        """Dimensions of its coordinates, 2 or 3."""
        return len(self.points[0])

    def vertices(self) -> NDArray[np.float64]:
        """Return every coordinate it holds, (m, n)."""
        return np.array(self.points)

    def to_index(self, geometry: Geometry) -> Scribble:
        """Return the same stroke in the frame ``index`` of ``geometry``."""
        if self.frame == "index":
            return self
        index = geometry.world_to_index(self.points)
        return replace(self, points=tuple(tuple(p) for p in index), frame="index")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "kind": self.kind,
            "points": [list(p) for p in self.points],
            "positive": self.positive,
            "frame": self.frame,
            "connected": self.connected,
            "thickness": self.thickness,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scribble:
        """Return the inverse of ``to_dict``."""
        return cls(
            data["points"],
            _flag(data, "positive"),
            data.get("frame", "index"),
            _flag(data, "connected"),
            data.get("thickness", DEFAULT_THICKNESS),
        )


@dataclass(frozen=True)
class Lasso:
    """A closed outline drawn around the object, filled; in a volume it lies on one slice of any plane.

    Attributes:
        points: Vertices of the outline, each (x, y) or (x, y, z); the last is joined to the first.
        positive: False for an outline around what must not belong to the object.
    """

    points: tuple[Coordinates, ...]
    positive: bool = True
    frame: Frame = "index"
    kind: ClassVar[str] = "lasso"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _polyline(self.points, "lasso", 3))
        _check_frame(self.frame)

    @property
    def ndim(self) -> int:
        """Dimensions of its coordinates, 2 or 3."""
        return len(self.points[0])

    def vertices(self) -> NDArray[np.float64]:
        """Return every coordinate it holds, (m, n)."""
        return np.array(self.points)

    def to_index(self, geometry: Geometry) -> Lasso:
        """Return the same outline in the frame ``index`` of ``geometry``."""
        if self.frame == "index":
            return self
        index = geometry.world_to_index(self.points)
        return replace(self, points=tuple(tuple(p) for p in index), frame="index")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "kind": self.kind,
            "points": [list(p) for p in self.points],
            "positive": self.positive,
            "frame": self.frame,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Lasso:
        """Return the inverse of ``to_dict``."""
        return cls(data["points"], _flag(data, "positive"), data.get("frame", "index"))


Prompt = Point | Box | Scribble | Lasso | InitialMask

PROMPT_KINDS: dict[str, type[Point] | type[Box] | type[Scribble] | type[Lasso] | type[InitialMask]] = {
    kind.kind: kind for kind in (Point, Box, Scribble, Lasso, InitialMask)
}


def prompt_from_dict(data: Mapping[str, Any]) -> Prompt:
    """Return the prompt that ``to_dict`` of any kind wrote.

    Raises:
        PromptError: The kind is unknown or a field is missing or unusable.
    """
    if not isinstance(data, Mapping):
        raise PromptError("prompt", expected="an object with the field 'kind'", got=type(data).__name__)
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in PROMPT_KINDS:
        raise PromptError("prompt", expected=f"a kind of {', '.join(PROMPT_KINDS)}", got=repr(kind))
    try:
        return PROMPT_KINDS[kind].from_dict(data)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        if isinstance(error, PromptError):
            raise
        cause = f"{type(error).__name__}: {error}"
        raise PromptError(f"{kind} prompt", expected="its fields complete", got=cause) from error


def place_prompt(prompt: Prompt, geometry: Geometry) -> Prompt:
    """Return the prompt in the frame ``index`` of ``geometry``, checked to touch the image.

    Raises:
        PromptError: It has another number of dimensions than the image, or lies wholly outside it.
    """
    if prompt.ndim != geometry.ndim:
        raise PromptError(
            f"{prompt.kind}",
            expected=f"{geometry.ndim} coordinates for an image of {size_text(geometry)}",
            got=prompt.ndim,
        )
    placed = prompt.to_index(geometry)
    axis = missed_axis(placed.vertices(), geometry, faces=placed.kind == Box.kind)
    if axis is not None:
        raise outside_error(prompt.kind, prompt.frame, given_coordinates(prompt), axis, geometry)
    return placed


def cut_off(box: Box, geometry: Geometry) -> Box:
    """Return the part of a placed box within an image, which tells how large the object can be.

    Published systems take boxes as they are; so this is for engines of our own.
    """
    limits = geometry.shape[::-1]
    low = tuple(max(0.0, v) for v in box.low)
    high = tuple(min(float(n), v) for v, n in zip(box.high, limits, strict=True))
    if low == box.low and high == box.high:
        return box
    # One that only touches the image has no part inside that could be a box.
    return replace(box, low=low, high=high) if all(a < b for a, b in zip(low, high, strict=True)) else box


def given_coordinates(prompt: Prompt) -> NDArray[np.float64]:
    """Return a prompt's coordinates as given, (k, n) in its own frame: low and high of a box and not its faces."""
    return np.array([prompt.low, prompt.high]) if isinstance(prompt, Box) else prompt.vertices()


def left_out(prompt: Prompt, placed: Prompt, geometry: Geometry) -> str | None:
    """Say of a prompt that reaches beyond the image what is left out of it; None where all of it lies inside.

    Args:
        prompt: As it was given.
        placed: The same on the grid, as ``place_prompt`` returns it.
        geometry: The image's grid.
    """
    return overhang(prompt.kind, prompt.frame, given_coordinates(prompt), placed.vertices(), geometry)
