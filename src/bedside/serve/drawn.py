"""Prompts out of masks that were painted: clients send strokes and outlines as voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import PromptError
from bedside.core.prompts import Lasso, Scribble
from bedside.core.region import Region, mask_region
from bedside.serve.prompts import POINTS
from bedside.simulate.lassos import outline

PARTS = 64
"""Outlines that one painted area may have, holes among them."""


def painted_scribble(patch: NDArray[Any], start: tuple[int, ...], positive: bool) -> Scribble:
    """Return the voxels of a painted stroke, as ``Scribble.from_mask`` does of the whole mask.

    Args:
        patch: Painted where it is not zero.
        start: Where its first voxel lies in the image.
        positive: Whether it lies on the object.

    Raises:
        PromptError: Nothing was painted, or more than a hand paints.
    """
    count = int(np.count_nonzero(patch))
    if not 0 < count <= POINTS:
        raise PromptError("scribble", expected=f"1 to {POINTS} painted voxels", got=count)
    index = (np.argwhere(patch) + np.array(start))[:, ::-1]
    return Scribble(tuple(tuple(map(float, p)) for p in index), positive, "index", connected=False, thickness=1.0)


def painted_lasso(patch: NDArray[Any], start: tuple[int, ...], positive: bool) -> Lasso:
    """Return the outline of an area painted on one slice: filled, it is just that area.

    Args:
        patch: Painted where it is not zero, (z, y, x) or (y, x).
        start: Where its first voxel lies in the image.
        positive: Whether it is drawn around the object.

    Raises:
        PromptError: Nothing was painted, it lies on several slices, or has more parts than a hand draws.
    """
    region = mask_region(patch)
    if region.is_empty:
        raise PromptError("lasso", expected="a painted area", got="an empty mask")
    thin = next((axis for axis, n in enumerate(region.shape) if n == 1), None) if patch.ndim == 3 else None
    if patch.ndim == 3 and thin is None:
        raise PromptError("lasso", expected="an area on one slice", got=f"one of {region.shape} voxels")
    area = patch[region.slices] != 0
    corners = _corners(area if thin is None else np.take(area, 0, axis=thin))
    if thin is not None:
        corners = np.insert(corners, thin, 0.0, axis=1)
    corners += np.array(region.start) + np.array(start)
    return Lasso(tuple(tuple(map(float, corner[::-1])) for corner in corners), positive)


def _corners(area: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return one closed line (n, 2) that fills ``area`` by the even-odd rule: all outlines, with ways there and back.

    A way that is gone there and back has no inside.
    """
    lines: list[NDArray[np.float64]] = []
    rest, parts = area.copy(), 0
    while rest.any():
        if parts == PARTS:
            raise PromptError("lasso", expected=f"at most {PARTS} parts and holes", got="more")
        corners = outline(rest)
        lines += [corners, corners[:1], *([lines[0][:1]] if parts else [])]
        parts += 1
        labels, _ = ndimage.label(rest)
        largest = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
        rest ^= ndimage.binary_fill_holes(largest)
    return np.concatenate(lines)


def whole_or_part(patch: NDArray[Any], box: Region | None, shape: tuple[int, ...], what: str) -> tuple[int, ...]:
    """Return where a painted patch begins in the image.

    Args:
        patch: What was painted.
        box: Where it lies; None for a patch of the whole image.
        shape: Shape of the image.
        what: What it is, for the message.

    Raises:
        PromptError: Shape and place do not fit, or it lies outside the image.
    """
    box = Region.whole(shape) if box is None else box
    if patch.ndim != len(shape) or patch.shape != box.shape or box.clip(shape) != box:
        raise PromptError(
            what, expected=f"a box inside {shape} and a mask of its shape", got=f"{box} and {patch.shape}"
        )
    return box.start
