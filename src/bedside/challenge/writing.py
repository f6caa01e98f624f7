"""Writing cases of the CVPR challenges; ``challenge.read_case`` reads them back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.files import atomic_path
from bedside.core.prompts import Box, Point
from bedside.io.challenge import ChallengeCase


def write_case(path: str | Path, case: ChallengeCase, truth: str | Path | None = None) -> None:
    """Write a case, atomically.

    Boxes with a middle slice are written in the 2025 form, others in the form of 2024; both are closed in the file.
    Volumes get ``spacing`` even where it is not known, because the official code requires it: 1 mm then.

    Args:
        path: Where to, ends in .npz.
        case: Boxes of the 2024 form must be there for every object or for none.
        truth: File for the ground truth and the spacing, to keep them apart from the case; else the case holds them.
    """
    spacing: dict[str, Any] = {"spacing": np.asarray(case.image.geometry.spacing)} if case.image.ndim == 3 else {}
    members: dict[str, Any] = {"imgs": case.image.array, **spacing}
    if any(box is not None for box in case.boxes):
        members["boxes"] = _boxes(case)
    if case.clicks:
        members["clicks"] = _objects([_clicks(points) for points in case.clicks])
        members["clicks_order"] = _objects([list(order) for order in case.clicks_order])
    if case.previous is not None:
        members["prev_pred"] = case.previous
    if case.ground_truth is not None:
        if truth is not None:
            _save(Path(truth), {"gts": case.ground_truth, **spacing})
        else:
            members["gts"] = case.ground_truth
    _save(Path(path), members)


def _save(path: Path, members: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **members)


def _objects(entries: Sequence[Any]) -> NDArray[Any]:
    """Return a one-dimensional array of objects; ``np.array`` would make a table of lists of equal length."""
    array = np.empty(len(entries), dtype=object)
    for number, entry in enumerate(entries):
        array[number] = entry
    return array


def _boxes(case: ChallengeCase) -> NDArray[Any]:
    middles = (*case.middle_slices, *[None] * (len(case.boxes) - len(case.middle_slices)))
    if any(middle is not None for middle in middles):
        return _objects([_middle_box(box, middle) for box, middle in zip(case.boxes, middles, strict=True)])
    return np.array([[*_whole(box.low), *_whole(h - 1 for h in box.high)] for box in case.boxes if box is not None])


def _middle_box(box: Box | None, middle: int | None) -> dict[str, int] | None:
    if box is None or middle is None:
        return None
    names = ("z_mid_x_min", "z_mid_y_min", "z_min", "z_mid_x_max", "z_mid_y_max", "z_max")
    values = (*(int(v) for v in box.low), *(int(v) - 1 for v in box.high))
    return {**dict(zip(names, values, strict=True)), "z_mid": middle}


def _whole(values: Any) -> list[float]:
    """Return values, whole ones as integers, because the official code uses them as indices."""
    return [int(v) if float(v).is_integer() else float(v) for v in values]


def _clicks(points: Sequence[Point]) -> dict[str, list[list[int]]]:
    made: dict[str, list[list[int]]] = {"fg": [], "bg": []}
    for point in points:
        made["fg" if point.positive else "bg"].append([round(v) for v in point.position[::-1]])
    return made
