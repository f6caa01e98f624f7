"""What is said of prompts beside or beyond an image: in the coordinates that were given, not in those worked with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry

_AXES = ("x", "y", "z")
_SLACK = 0.01
"""Voxels that a prompt in mm may lie beyond the border by rounding alone."""


def coordinates_text(values: Iterable[float]) -> str:
    """Return coordinates as the command line takes them, e.g. "600,12.5"."""
    return ",".join(f"{float(v):.10g}" for v in values)


def size_text(geometry: Geometry) -> str:
    """Return the size of a grid in the order x, y, z, e.g. "600 x 400 pixels"."""
    unit = "voxels" if geometry.ndim == 3 else "pixels"
    return f"{' x '.join(str(n) for n in geometry.shape[::-1])} {unit}"


def missed_axis(vertices: NDArray[Any], geometry: Geometry, *, faces: bool) -> int | None:
    """Return the first axis (0 for x) on which nothing of a prompt touches the grid; None where it touches it on all.

    Args:
        vertices: (k, n) continuous voxel coordinates.
        geometry: The grid.
        faces: They are faces of a box, and one that merely meets the edge of the first voxel holds none.
    """
    size = np.asarray(geometry.shape[::-1])
    highest = vertices.max(axis=0)
    outside = (highest < -0.5) | (vertices.min(axis=0) >= size - 0.5)
    if faces:
        outside |= highest <= -0.5
    return int(np.flatnonzero(outside)[0]) if outside.any() else None


def outside_error(kind: str, frame: str, given: NDArray[Any], axis: int, geometry: Geometry) -> PromptError:
    """Return the error for a prompt that lies wholly outside an image.

    Args:
        kind: Of the prompt.
        frame: "index" or "world", that of ``given``.
        given: (k, n) its coordinates as they were given; low and high of a box.
        axis: Axis of the voxels on which it misses the image, 0 for x.
        geometry: The image's grid.
    """
    said, where = _span(given), f"axis {_AXES[axis]}"
    if frame == "world":
        said += f", which is voxel {_span(geometry.world_to_index(given).round(2))}"
        # Which may be another one of the world.
        where += " of its voxels"
    return PromptError(
        f"{kind} lies outside the image on {where}",
        expected=f"coordinates within {_extent(kind, frame, geometry)}",
        got=said,
        fix="check the order x, y, z and the frame (index or world)",
    )


def overhang(kind: str, frame: str, given: NDArray[Any], vertices: NDArray[Any], geometry: Geometry) -> str | None:
    """Return a sentence for a prompt that reaches beyond the image; None where all of it lies inside.

    Args:
        kind: Of the prompt.
        frame: "index" or "world", that of ``given``.
        given: (k, n) its coordinates as they were given; low and high of a box.
        vertices: (k, n) the same as continuous voxel coordinates.
        geometry: The image's grid.
    """
    size = np.asarray(geometry.shape[::-1])
    if np.all(vertices >= -0.5 - _SLACK) and np.all(vertices <= size - 0.5 + _SLACK):
        return None
    return (
        f"{kind} {_span(given)} reaches beyond the image, which is {_extent(kind, frame, geometry)}; "
        "the part outside is left out"
    )


def _span(given: NDArray[Any]) -> str:
    """Return one point, or the corners of what holds several."""
    low, high = given.min(axis=0), given.max(axis=0)
    return coordinates_text(low) if len(given) == 1 else f"{coordinates_text(low)} to {coordinates_text(high)}"


def _extent(kind: str, frame: str, geometry: Geometry) -> str:
    """Return what an image takes in of the frame of a prompt's coordinates."""
    names = ",".join(_AXES[: geometry.ndim])
    size = np.asarray(geometry.shape[::-1])
    if frame == "world":
        faces = np.array(np.meshgrid(*((-0.5, n - 0.5) for n in size))).reshape(geometry.ndim, -1).T
        corners = geometry.index_to_world(faces).round(3) + 0.0
        return f"{_span(corners)} ({names} in mm, LPS)"
    end = size if kind == "box" else size - 1
    return f"{_span(np.stack([np.zeros_like(end), end]))} ({names}{', the end exclusive' if kind == 'box' else ''})"
