"""Putting slices in order along their normal, and rejecting what is not a regular grid by name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import DIRECTION_TOLERANCE, Geometry
from bedside.io.dicom.frame import Frame
from bedside.io.dicom.grid import Grid, fit_grid, usual_gap

SAME_POSITION = 1e-3
"""Slices closer than this, in mm, lie at the same place."""

DRIFT_TOLERANCE = 0.25
"""How far slices may lie beside the normal, in pixels."""

FAR = 2.5
"""Distance, in steps, from which on acquisitions are two stacks: between nearer ones a slice is missing."""

_LISTED = 5
_RESAMPLE = "resample it to a regular grid first"


def axes_of(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unit vectors along a row and along a column.

    Raises:
        FormatError: The file gives none that are usable.
    """
    if frame.orientation is None:
        raise FormatError(f"{frame.name}: no orientation")
    lengths = np.linalg.norm(frame.orientation, axis=1)
    if lengths.min() < 0.5:
        raise FormatError(f"{frame.name}: orientation", expected="two unit vectors", got=frame.orientation.tolist())
    row, column = frame.orientation / lengths[:, None] + 0.0
    return row, column


def normal_of(frame: Frame) -> NDArray[np.float64]:
    """Return unit vector across the slice, in which slices are put in order."""
    normal = np.cross(*axes_of(frame))
    return np.asarray(normal / max(1e-12, float(np.linalg.norm(normal))))


def along(frame: Frame, normal: NDArray[np.float64]) -> float:
    """Return where a slice lies along the normal, mm."""
    if frame.position is None:
        raise FormatError(f"{frame.name}: no position")
    return float(frame.position @ normal)


def rounding_of(frames: Sequence[Frame], normal: NDArray[np.float64]) -> float:
    """Return how far a position along the normal may be off because it was written with few digits, mm."""
    # Trailing zeros are often left out, so the finest slice tells how many digits were written.
    digits = np.min([frame.digits for frame in frames], axis=0)
    return float(0.5 * np.abs(normal) @ digits)


def stack_geometry(path: Path, frames: Sequence[Frame]) -> tuple[list[Frame], Geometry]:
    """Return slices of one volume in the order of their positions, and their grid.

    Args:
        path: For messages.
        frames: At least one, all with positions that differ, alike in size, direction and pixel spacing.

    Raises:
        FormatError: Missing or irregular slices, gantry tilt.
    """
    row, column = axes_of(frames[0])
    normal = normal_of(frames[0])
    ordered = sorted(frames, key=lambda f: along(f, normal))
    positions = np.array([f.position for f in ordered])
    spacing = ordered[0].pixel_spacing
    _check_drift(path, positions, normal, ordered)
    step = _step(path, ordered, normal)
    geometry = Geometry.create(
        (len(ordered), *ordered[0].shape),
        None if spacing is None else (spacing[1], spacing[0], step or ordered[0].thickness or 1.0),
        positions[0],
        np.column_stack([row, column, normal]),
    )
    return ordered, geometry


def is_regular(frames: Sequence[Frame]) -> bool:
    """Return whether slices lie on a grid without holes."""
    try:
        stack_geometry(Path(), frames)
    except FormatError:
        return False
    return True


def far_apart(stacks: Sequence[Sequence[Frame]]) -> bool:
    """Return whether stacks of one direction lie apart by more than what a missing slice leaves open."""
    normal = normal_of(stacks[0][0])
    places = sorted((np.sort([along(f, normal) for f in stack]) for stack in stacks), key=lambda p: float(p[0]))
    return all(
        after[0] - before[-1] > FAR * max(before[1] - before[0], after[1] - after[0])
        for before, after in pairwise(places)
    )


def _check_drift(path: Path, positions: NDArray[np.float64], normal: NDArray[np.float64], frames: list[Frame]) -> None:
    """Slices must follow each other along their normal."""
    moved = positions - positions[0]
    ahead = moved @ normal
    aside = moved - ahead[:, None] * normal
    # What the written digits allow, along each axis of the world for itself: "-250" says nothing of the others.
    digits = np.min([frame.digits for frame in frames], axis=0)
    rounding = np.abs(np.eye(3) - np.outer(normal, normal)) @ digits * (1 + 1e-6) + 1e-9
    reach = DRIFT_TOLERANCE * min(frames[0].pixel_spacing or (1.0, 1.0))

    def small(vectors: NDArray[np.float64]) -> bool:
        near = np.linalg.norm(vectors, axis=1) <= reach
        return bool(np.all(near | np.all(np.abs(vectors) <= rounding, axis=1)))

    if len(positions) < 2 or small(aside):
        return
    expected = aside[-1] * (ahead / ahead[-1])[:, None]
    if small(aside - expected):
        tilt = np.degrees(np.arctan2(np.linalg.norm(aside[-1]), ahead[-1]))
        if np.radians(tilt) > DIRECTION_TOLERANCE:
            raise FormatError(
                f"{path}: gantry tilt", expected="slices along their normal", got=f"{tilt:.2f}°", fix=_RESAMPLE
            )
        return
    worst = int(np.argmax(np.linalg.norm(aside - expected, axis=1)))
    raise FormatError(
        f"{path}: slices displaced sideways",
        got=f"{np.linalg.norm(aside[worst]):.2f} mm at {ahead[worst]:.2f} mm",
        fix=_RESAMPLE,
    )


def _step(path: Path, ordered: Sequence[Frame], normal: NDArray[np.float64]) -> float | None:
    """Return distance of the slices; None for a single one."""
    if len(ordered) < 2:
        return None
    places = np.array([along(f, normal) for f in ordered])
    grid = fit_grid(places, rounding_of(ordered, normal), ordered[0].thickness)
    if grid is None:
        gaps = np.diff(places)
        usual = usual_gap(places)
        worst = int(np.argmax(np.abs(gaps - usual)))
        raise FormatError(
            f"{path}: irregular slices",
            expected=f"{usual:.3f} mm between them",
            got=f"{gaps[worst]:.3f} mm after {places[worst]:.2f} mm",
            fix=_RESAMPLE,
        )
    _check_complete(path, grid, len(ordered))
    # Where nothing is rounded, the ends tell the step as exactly as they are written.
    exact = float((places[-1] - places[0]) / (len(places) - 1))
    return exact if abs(exact - grid.step) * len(places) < 1e-4 * grid.step else grid.step


def _check_complete(path: Path, grid: Grid, count: int) -> None:
    missing = grid.missing
    if missing:
        places = listed([f"{m:.2f} mm" for m in missing[:_LISTED]], len(missing))
        raise FormatError(
            f"{path}: {len(missing)} of {count + len(missing)} slices missing, at {places} along the normal",
            fix="add the missing files, or read a part of the series from a folder of its own",
        )


def listed(names: Sequence[str], total: int) -> str:
    """Return some of many names for a message."""
    more = f" and {total - len(names)} more" if total > len(names) else ""
    return ", ".join(names) + more
