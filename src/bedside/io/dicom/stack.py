"""Putting slices in order along their normal, and refusing what is not a regular grid by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import DIRECTION_TOLERANCE, Geometry
from bedside.io.dicom.series import Frame
from bedside.io.samples import pick_volume

SAME_POSITION = 1e-3
"""Slices closer than this, in mm, lie at the same place."""

STEP_TOLERANCE = 0.05
"""How far the distance of two slices may be from the usual one, as a part of it: positions are rounded."""

DRIFT_TOLERANCE = 0.25
"""How far slices may lie beside the normal, in pixels."""

_LISTED = 5
_OFTEN = 0.25


def order_frames(path: Path, frames: Sequence[Frame], volume: int | None) -> tuple[list[Frame], Geometry]:
    """The frames of one volume in the order of their positions along the normal, and their grid.

    Args:
        path: For messages.
        frames: At least one, all with positions.
        volume: Which volume, where every position holds several (echoes, time points).

    Raises:
        FormatError: Slices of different size or direction, duplicated, missing or irregular slices, gantry tilt.
    """
    _check_alike(path, frames)
    row, column = _axes(frames[0])
    normal = np.cross(row, column)
    groups = _group(sorted(frames, key=lambda f: (_along(f, normal), f.number, f.name)), normal)
    ordered = _one_each(path, groups, normal, volume)
    positions = np.array([f.position for f in ordered])
    _check_drift(path, positions, normal, min(ordered[0].pixel_spacing or (1.0, 1.0)))
    step = _step(path, positions @ normal)
    spacing = ordered[0].pixel_spacing
    geometry = Geometry.create(
        (len(ordered), *ordered[0].shape),
        None if spacing is None else (spacing[1], spacing[0], step or ordered[0].thickness or 1.0),
        positions[0],
        np.column_stack([row, column, normal]),
    )
    return ordered, geometry


def _axes(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row and along a column."""
    if frame.orientation is None:
        raise FormatError(f"{frame.name}: no orientation")
    lengths = np.linalg.norm(frame.orientation, axis=1)
    if lengths.min() < 0.5:
        raise FormatError(f"{frame.name}: orientation", expected="two unit vectors", got=frame.orientation.tolist())
    row, column = frame.orientation / lengths[:, None] + 0.0
    return row, column


def _along(frame: Frame, normal: NDArray[np.float64]) -> float:
    if frame.position is None:
        raise FormatError(f"{frame.name}: no position")
    return float(frame.position @ normal)


def _check_alike(path: Path, frames: Sequence[Frame]) -> None:
    """All slices must have the size, direction and pixel spacing of the first."""
    first = frames[0]
    for frame in frames:
        if frame.shape != first.shape:
            sizes = sorted({f.shape for f in frames})
            raise FormatError(f"{path}: slices of different size", got=sizes, fix="read one file, or choose a series")
        if np.abs(np.subtract(_axes(frame), _axes(first))).max() > DIRECTION_TOLERANCE:
            raise FormatError(
                f"{path}: slices of different direction (a localizer?)",
                got=f"{first.name} and {frame.name}",
                fix="read one of its files",
            )
        if not np.allclose(frame.pixel_spacing or 0.0, first.pixel_spacing or 0.0, rtol=1e-3):
            spacings = (first.pixel_spacing, frame.pixel_spacing)
            raise FormatError(f"{path}: slices of different pixel spacing", got=spacings, fix="read one of its files")


def _group(ordered: Sequence[Frame], normal: NDArray[np.float64]) -> list[list[Frame]]:
    """Frames that share a position, in the order of the positions."""
    groups: list[list[Frame]] = []
    for frame in ordered:
        if groups and _along(frame, normal) - _along(groups[-1][0], normal) < SAME_POSITION:
            groups[-1].append(frame)
        else:
            groups.append([frame])
    return groups


def _one_each(
    path: Path, groups: Sequence[list[Frame]], normal: NDArray[np.float64], volume: int | None
) -> list[Frame]:
    """One frame per position."""
    counts = {len(g) for g in groups}
    if len(counts) == 1 and (len(groups) > 1 or volume is not None):
        # Several at each position are several volumes, told apart by the order in which they were made.
        index = pick_volume(path, counts.pop(), volume, f"volumes of {len(groups)} slices at the same positions")
        return [sorted(g, key=lambda f: (f.number, f.index, f.name))[index] for g in groups]
    doubled = [g for g in groups if len(g) > 1]
    if doubled:
        listed = [f"{_along(g[0], normal):.2f} mm ({', '.join(f.name for f in g[:3])})" for g in doubled[:_LISTED]]
        raise FormatError(
            f"{path}: duplicated slices at {_list(listed, len(doubled))}", fix="remove the copies or read one file"
        )
    if volume is not None:
        pick_volume(path, 1, volume)
    return [g[0] for g in groups]


def _check_drift(path: Path, positions: NDArray[np.float64], normal: NDArray[np.float64], pixel: float) -> None:
    """Slices must follow each other along their normal."""
    moved = positions - positions[0]
    along = moved @ normal
    beside = np.linalg.norm(moved - along[:, None] * normal, axis=1)
    if len(positions) < 2 or beside.max() <= DRIFT_TOLERANCE * pixel:
        return
    expected = beside[-1] * along / along[-1]
    fix = "resample it to a regular grid first"
    if np.abs(beside - expected).max() <= DRIFT_TOLERANCE * pixel:
        tilt = np.degrees(np.arctan2(beside[-1], along[-1]))
        if np.radians(tilt) > DIRECTION_TOLERANCE:
            raise FormatError(f"{path}: gantry tilt", expected="slices along their normal", got=f"{tilt:.2f}°", fix=fix)
        return
    worst = int(np.argmax(np.abs(beside - expected)))
    raise FormatError(
        f"{path}: slices displaced sideways", got=f"{beside[worst]:.2f} mm at {along[worst]:.2f} mm", fix=fix
    )


def _step(path: Path, along: NDArray[np.float64]) -> float | None:
    """Distance of the slices; None for a single one."""
    if len(along) < 2:
        return None
    gaps = np.diff(along)
    step = float(np.median(gaps))
    # Where much is missing the usual gap is a hole itself; a single narrow one is an irregularity, though.
    narrow = gaps < gaps.min() * (1 + STEP_TOLERANCE)
    if narrow.mean() >= _OFTEN:
        step = float(gaps.min())
    allowed = max(STEP_TOLERANCE * step, SAME_POSITION)
    missing: list[float] = []
    for start, gap in zip(along, gaps, strict=False):
        steps = max(1, round(float(gap) / step))
        if abs(gap - steps * step) > allowed * steps:
            raise FormatError(
                f"{path}: irregular slices",
                expected=f"{step:.3f} mm between them",
                got=f"{gap:.3f} mm after {start:.2f} mm",
                fix="resample it to a regular grid first",
            )
        missing += [float(start + i * gap / steps) for i in range(1, steps)]
    if missing:
        places = _list([f"{m:.2f} mm" for m in missing[:_LISTED]], len(missing))
        raise FormatError(
            f"{path}: {len(missing)} of {len(along) + len(missing)} slices missing, at {places} along the normal",
            fix="add the missing files, or read a part of the series from a folder of its own",
        )
    return float((along[-1] - along[0]) / (len(along) - 1))


def _list(listed: Sequence[str], total: int) -> str:
    more = f" and {total - len(listed)} more" if total > len(listed) else ""
    return ", ".join(listed) + more
