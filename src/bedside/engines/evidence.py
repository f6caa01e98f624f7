"""What prompts and a previous mask say about where the object is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt
from bedside.core.region import mask_region

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Start and stop in edge coordinates, array order."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Bounds of what is known of the object.

    Attributes:
        extent: Bounds of positive boxes, lassos and the previous mask, None where there are none. They tell how large
            the object is.
        marks: Bounds of all clicks and scribbles and of negative areas, None where there are none. They lie on or near
            the object but say little of its size.
    """

    extent: Bounds | None
    marks: Bounds | None

    @property
    def flat(self) -> bool:
        """Whether what tells the extent is no thicker than a voxel along an axis."""
        return self.extent is not None and bool((self.extent[1] - self.extent[0] <= 1.0).any())

    @property
    def bounds(self) -> Bounds:
        """Bounds of everything; there is always something."""
        both = [b for b in (self.extent, self.marks) if b is not None]
        return np.min([b[0] for b in both], axis=0), np.max([b[1] for b in both], axis=0)


def gather_evidence(prompts: Sequence[Prompt], previous: NDArray[Any] | None) -> Evidence:
    """Return bounds of prompts in the frame ``index`` and of a previous mask."""
    extents: list[Bounds] = []
    marks: list[Bounds] = []
    clicks = [p.position[::-1] for p in prompts if isinstance(p, Point)]
    if clicks:
        places = np.array(clicks)
        marks.append((places.min(axis=0), places.max(axis=0) + 1.0))
    for prompt in prompts:
        if isinstance(prompt, Point):
            continue
        if isinstance(prompt, InitialMask):
            region = mask_region(prompt.mask)
            if not region.is_empty:
                extents.append((np.array(region.start, float), np.array(region.stop, float)))
            continue
        bounds = prompt_bounds(prompt)
        if prompt.positive and isinstance(prompt, Box | Lasso):
            extents.append(bounds)
        else:
            marks.append(bounds)
    if previous is not None:
        region = mask_region(previous)
        if not region.is_empty:
            extents.append((np.array(region.start, float), np.array(region.stop, float)))
    return Evidence(_merge(extents), _merge(marks))


def prompt_bounds(prompt: Prompt) -> Bounds:
    """Return bounds of one prompt; a single position is one voxel wide."""
    if isinstance(prompt, Box):
        return np.array(prompt.low[::-1]), np.array(prompt.high[::-1])
    vertices = prompt.vertices()[:, ::-1]
    return vertices.min(axis=0), vertices.max(axis=0) + 1.0


def _merge(bounds: list[Bounds]) -> Bounds | None:
    if not bounds:
        return None
    return np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)
