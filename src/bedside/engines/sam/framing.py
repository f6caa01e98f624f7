"""Where a slice lies on a network's square input, and the way back from its logits."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.region import Region
from bedside.imaging.resize import Matrix, cubic_matrix, resize_matrix
from bedside.imaging.resize_bytes import opencv_area, opencv_linear, torch_linear

Framing = Literal["pad", "stretch"]
SliceKernel = Literal["area", "linear", "linear-torch", "cubic"]
"""By which slices of bytes are resized: "area" and "linear" as OpenCV does, "linear-torch" as torch, and "cubic" as
scikit-image with order 3, cut to the range of the slice and then to whole numbers."""
LOGITS_SIDE = 256
"""Side of every system's logits."""
SMALLEST_RANGE = 1e-8
"""Below the range of a slice that is not constant."""
NEARLY = 1e-9
"""What a sum of weights may be short of a whole number that it stands for."""


@dataclass(frozen=True)
class Frame:
    """A slice's place on a grid.

    Attributes:
        shape: Shape of the slice, (y, x).
        inner: Cells that it covers, (y, x), from the top left.
        side: Side of the grid.
        scale: Cells per pixel, (y, x), by which coordinates are multiplied.
    """

    shape: tuple[int, int]
    inner: tuple[int, int]
    side: int
    scale: tuple[float, float]

    @classmethod
    def of(cls, shape: tuple[int, int], side: int, framing: Framing) -> Frame:
        """Return the frame of a slice of ``shape``."""
        if framing == "stretch":
            return cls(shape, (side, side), side, (side / shape[0], side / shape[1]))
        scale = side / max(shape)
        height, width = (max(1, int(n * scale + 0.5)) for n in shape)
        return cls(shape, (height, width), side, (scale, scale))

    def fit(self, colours: NDArray[np.uint8], kernel: SliceKernel) -> NDArray[np.float32]:
        """Return a slice (y, x, 3) on the grid: float32 (3, side, side), stretched to 0 to 1 and padded with 0."""
        resized = fit_bytes(colours, self.inner, kernel)
        low, high = float(resized.min()), float(resized.max())
        scaled = (resized - low) / max(high - low, SMALLEST_RANGE)
        grid = np.zeros((3, self.side, self.side), dtype=np.float32)
        grid[:, : self.inner[0], : self.inner[1]] = np.clip(scaled, 0.0, 1.0).transpose(2, 0, 1)
        return grid

    def expand(
        self, logits: NDArray[np.float32], *, probabilities: bool = False, answer_side: int = LOGITS_SIDE
    ) -> tuple[NDArray[np.uint8], Region]:
        """Return the mask at the slice's own resolution, no larger than it needs to be.

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


def fit_bytes(colours: NDArray[np.uint8], inner: tuple[int, int], kernel: SliceKernel) -> NDArray[np.float32]:
    """Return a slice (y, x) or (y, x, 3) resized as the systems' libraries do, which give bytes for bytes: float32,
    whole.
    """
    if kernel == "cubic":
        return _cubic_bytes(colours, inner)
    made = {"area": opencv_area, "linear": opencv_linear, "linear-torch": torch_linear}[kernel](colours, inner)
    return made.astype(np.float32)


def _cubic_bytes(colours: NDArray[np.uint8], inner: tuple[int, int]) -> NDArray[np.float32]:
    """Return bytes resized by a spline, whose overshoot is cut to the range of the slice before fractions are cut
    off.
    """
    channels = colours if colours.ndim == 3 else colours[..., None]
    if channels.shape[2] == 3 and all(np.array_equal(channels[..., 0], channels[..., c]) for c in (1, 2)):
        channels = channels[..., :1]
    rows, columns = (cubic_matrix(cells, size) for cells, size in zip(inner, channels.shape[:2], strict=True))
    planes = [rows @ channels[..., c].astype(np.float64) @ columns.T for c in range(channels.shape[2])]
    resized = np.floor(np.clip(np.stack(planes, axis=-1), colours.min(), colours.max()) + NEARLY)
    whole = np.broadcast_to(resized, (*inner, 3)) if colours.ndim == 3 else resized[..., 0]
    return whole.astype(np.float32)


@functools.lru_cache(maxsize=8)
def back_matrix(pixels: int, cells: int, answer_side: int) -> Matrix:
    """Return weights (pixels, 256) that bring one axis of logits to a slice: enlarge to ``answer_side``, crop,
    enlarge.
    """
    back = resize_matrix("linear", pixels, cells)
    if answer_side == LOGITS_SIDE:
        return np.pad(back, ((0, 0), (0, LOGITS_SIDE - cells)))
    result: Matrix = back @ resize_matrix("linear", answer_side, LOGITS_SIDE)[:cells]
    return result


def _span(weights: Matrix, cells: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the rows of ``weights``, start and stop, that any of ``cells`` reaches."""
    reached = np.flatnonzero((weights[:, cells] > 0).any(axis=1))
    return (int(reached[0]), int(reached[-1]) + 1) if reached.size else (0, 0)
