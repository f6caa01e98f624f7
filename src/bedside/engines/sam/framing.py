"""Where a slice lies on a network's square input, and the way back from its logits."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.region import Region
from bedside.imaging.resize import Kernel, Matrix, resize, resize_matrix

Framing = Literal["pad", "stretch"]
LOGITS_SIDE = 256
"""Side of every system's logits."""
SMALLEST_RANGE = 1e-8
"""Below the range of a slice that is not constant."""


@dataclass(frozen=True)
class Frame:
    """A slice's place on a grid.

    Attributes:
        shape: Of the slice, (y, x).
        inner: Cells that it covers, (y, x), from the top left.
        side: Of the grid.
        scale: Cells per pixel, (y, x), by which coordinates are multiplied.
    """

    shape: tuple[int, int]
    inner: tuple[int, int]
    side: int
    scale: tuple[float, float]

    @classmethod
    def of(cls, shape: tuple[int, int], side: int, framing: Framing) -> Frame:
        """The frame of a slice of ``shape``."""
        if framing == "stretch":
            return cls(shape, (side, side), side, (side / shape[0], side / shape[1]))
        scale = side / max(shape)
        height, width = (max(1, int(n * scale + 0.5)) for n in shape)
        return cls(shape, (height, width), side, (scale, scale))

    def fit(self, colours: NDArray[np.uint8], kernel: Kernel) -> NDArray[np.float32]:
        """A slice (y, x, 3) on the grid: float32 (3, side, side), stretched to 0 to 1 and padded with 0."""
        resized = resize(colours, self.inner, kernel)
        if kernel == "area":
            # The library that the systems use for areas keeps bytes as bytes.
            resized = np.rint(resized)
        low, high = float(resized.min()), float(resized.max())
        scaled = (resized - low) / max(high - low, SMALLEST_RANGE)
        grid = np.zeros((3, self.side, self.side), dtype=np.float32)
        grid[:, : self.inner[0], : self.inner[1]] = np.clip(scaled, 0.0, 1.0).transpose(2, 0, 1)
        return grid

    def expand(
        self, logits: NDArray[np.float32], *, probabilities: bool = False, answer_side: int = LOGITS_SIDE
    ) -> tuple[NDArray[np.uint8], Region]:
        """The mask at the slice's own resolution, no larger than it needs to be.

        Args:
            logits: (256, 256), of the whole grid.
            probabilities: Interpolate probabilities and cut them at one half; else logits at 0.
            answer_side: Side to which the logits are enlarged first, padding included.

        Returns:
            uint8 0/1 and where it lies in the slice; an empty region where nothing is positive.
        """
        cells = (max(1, round(n * answer_side / self.side)) for n in self.inner)
        rows, columns = (back_matrix(n, c, answer_side) for n, c in zip(self.shape, cells, strict=True))
        positive = logits > 0
        # A pixel is positive only if one of the cells that it is interpolated from is.
        spans = [_span(m, np.asarray(positive.any(axis=1 - axis))) for axis, m in enumerate((rows, columns))]
        region = Region(tuple(s for s, _ in spans), tuple(e for _, e in spans))
        if region.is_empty:
            return np.zeros((0, 0), dtype=np.uint8), Region.empty(2)
        values = 1 / (1 + np.exp(-np.clip(logits, -30, 30))) if probabilities else logits
        drawn = rows[slice(*spans[0])] @ values @ columns[slice(*spans[1])].T
        return (drawn > (0.5 if probabilities else 0.0)).astype(np.uint8), region


@functools.lru_cache(maxsize=8)
def back_matrix(pixels: int, cells: int, answer_side: int) -> Matrix:
    """Weights (pixels, 256) that bring one axis of logits to a slice: enlarge to ``answer_side``, crop, enlarge."""
    back = resize_matrix("linear", pixels, cells)
    if answer_side == LOGITS_SIDE:
        return np.pad(back, ((0, 0), (0, LOGITS_SIDE - cells)))
    result: Matrix = back @ resize_matrix("linear", answer_side, LOGITS_SIDE)[:cells]
    return result


def _span(weights: Matrix, cells: NDArray[np.bool_]) -> tuple[int, int]:
    """The rows of ``weights``, start and stop, that any of ``cells`` reaches."""
    reached = np.flatnonzero((weights[:, cells] > 0).any(axis=1))
    return (int(reached[0]), int(reached[-1]) + 1) if reached.size else (0, 0)
