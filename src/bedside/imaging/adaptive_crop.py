"""The window that leaves a fixed room around an object: content-aware cropping (arXiv 2510.03189).

One rule for training and inference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bedside.imaging.window import Window

ROOM = 1 / 3
"""Voxels added to the sides of the object's extent, in parts of the grid's."""


def adaptive_window(low: Sequence[float], high: Sequence[float], grid: Sequence[int], room: float = ROOM) -> Window:
    """Return a cubic window of whole voxels; a small extent is seen at full resolution.

    With sides ``b`` of the extent and grid ``P``, the sides ``m = b + P * room`` ask for the zoom
    ``z = max(1, max(m / P))``, and the window is ``ceil(P * z)`` voxels wide on every axis.

    Args:
        low: Where the extent begins, array order, edge coordinates.
        high: Where it ends.
        grid: Cells along each axis.
        room: See ``ROOM``.
    """
    zoom = max(1.0, *((b - a + n * room) / n for a, b, n in zip(low, high, grid, strict=True)))
    # Rounded before, as a third of the grid's side is no binary number.
    sides = [int(np.ceil(round(n * zoom, 6))) for n in grid]
    # Of two voxels in the middle the upper.
    middle = [int(np.floor((a + b) / 2)) for a, b in zip(low, high, strict=True)]
    start = [m - s // 2 for m, s in zip(middle, sides, strict=True)]
    stop = [a + s for a, s in zip(start, sides, strict=True)]
    return Window(tuple(map(float, start)), tuple(map(float, stop)), tuple(map(int, grid)))
