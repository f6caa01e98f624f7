"""Prompts moved to other positions, many at once: one by one takes most of the time of a long session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bedside.core.prompts import FARTHEST, Lasso, Point, Scribble, are_coordinates
from bedside.core.vertices import Vertices

Line = TypeVar("Line", Scribble, Lasso)


def moved_points(points: Sequence[Point], positions: NDArray[np.float64]) -> list[Point]:
    """Return clicks at other positions, checked all at once: one by one takes most of the time of a long session.

    Args:
        points: The clicks.
        positions: float64 (n, 2 or 3), the new position of each, in the frame that it has.

    Raises:
        PromptError: A position is not finite or too far away.
    """
    places = tuple(map(tuple, positions.tolist()))
    if places and not are_coordinates(places):
        return [replace(point, position=place) for point, place in zip(points, places, strict=True)]
    moved = []
    for point, place in zip(points, places, strict=True):
        made = Point.__new__(Point)
        made.__dict__.update(point.__dict__, position=place)
        moved.append(made)
    return moved


def moved_line(line: Line, positions: NDArray[np.float64], thickness: float | None = None) -> Line:
    """Return a stroke or outline at other positions, which it keeps as an array.

    Args:
        line: The stroke or outline.
        positions: float64 (m, 2 or 3), its vertices in the frame that it has.
        thickness: Width of a stroke there, in voxels or cells; None for the width that it has.

    Raises:
        PromptError: A position is not finite or too far away.
    """
    if not (np.abs(positions) <= FARTHEST).all():
        return replace(line, points=tuple(map(tuple, positions.tolist())))
    made = type(line).__new__(type(line))
    made.__dict__.update(line.__dict__, points=Vertices(positions))
    if thickness is not None:
        made.__dict__["thickness"] = thickness
    return made
