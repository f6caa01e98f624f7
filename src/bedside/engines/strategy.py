"""What chooses windows: the contract of a strategy, and what it may look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bedside.core.prompts import Prompt
from bedside.core.region import Region
from bedside.imaging.window import Window

Extent = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Start and stop in edge coordinates, array order."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One request for a prediction.

    Attributes:
        shape: Shape of the image.
        grid: Cells of the network's input.
        prompts: In the frame ``index``, oldest first; at least one.
        previous: Mask of the whole image that was there before, None where there is none.
    """

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    prompts: Sequence[Prompt]
    previous: NDArray[Any] | None


class WindowStrategy(Protocol):
    """Yields the windows of one prediction: a first one, wider ones while the prediction asks for it, and finer ones.

    Attributes:
        name: By which it is chosen.
        crops_to_nonzero: Whether what lies outside the box of the image's samples other than zero counts as beyond
            the image, for a network whose intensities are measured in that box.
    """

    name: str
    crops_to_nonzero: bool

    def first(self, scene: Scene) -> Window:
        """The window to begin with."""

    def following(self, windows: Sequence[Window], mask: NDArray[np.bool_], before: NDArray[np.bool_]) -> Window | None:
        """Return the window to ask next, None where the prediction may stand.

        Args:
            windows: Those that were asked, the first one first.
            mask: The prediction of the last one on the grid.
            before: The mask that was there before, on the grid.
        """

    def refinements(
        self, mask: NDArray[Any], before: NDArray[Any], region: Region, window: Window, scene: Scene
    ) -> Iterable[Window]:
        """Return windows of finer resolution in which the prediction is made again, in that order; none where it may
        stand.

        Args:
            mask: The prediction at full resolution.
            before: The mask that was there before.
            region: Where both lie in the image.
            window: The window that the prediction came from.
            scene: What was asked.
        """


def whole_window(centre: Sequence[int], side: Sequence[int], grid: Sequence[int]) -> Window:
    """Return a window of ``side`` whole voxels whose middle voxel is ``centre``: it begins at ``centre - side //
    2``.
    """
    start = [c - s // 2 for c, s in zip(centre, side, strict=True)]
    return Window(
        tuple(map(float, start)), tuple(float(a + s) for a, s in zip(start, side, strict=True)), tuple(map(int, grid))
    )


def middle_voxel(extent: Extent) -> tuple[int, ...]:
    """Return the voxel at the middle of an extent; of two in the middle the upper."""
    return tuple(int(np.floor(c)) for c in (extent[0] + extent[1]) / 2)
