"""Fitting a regular grid to the positions of slices, as closely as their written digits allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SLACK = 0.005
"""How far a slice may lie off the grid beyond the rounding of its digits, as a part of the step."""

EXACT = 1e-3
"""Parts of a step within which positions count as lying on a grid without any rounding."""

OFTEN = 0.25
"""Share of the gaps that must be one step: a single narrow one among wide ones is an irregularity, and no step."""

MANY_HOLES = 0.2
"""Share of double steps from which whole-numbered gaps are taken for rounding and no longer for missing slices."""


@dataclass(frozen=True)
class Grid:
    """A regular grid near given positions.

    Attributes:
        step: Distance of neighbours.
        start: Position of the first.
        index: Place of each given position on it, ascending from 0.
        error: Largest distance of a position from its place.
    """

    step: float
    start: float
    index: NDArray[np.intp]
    error: float

    @property
    def missing(self) -> list[float]:
        """Places between the first and the last that hold no position."""
        there = set(self.index.tolist())
        return [self.start + self.step * i for i in range(int(self.index[-1]) + 1) if i not in there]


def fit_grid(along: NDArray[np.float64], rounding: float, claimed: float | None = None) -> Grid | None:
    """Return the grid that positions lie on, with or without holes; None where there is none.

    Args:
        along: Positions along the normal in mm, ascending, at least two.
        rounding: How far each may be off because it was written with few digits, mm.
        claimed: Distance of slices that the header states, mm; decides where rounding leaves two readings.
    """
    full = _fit(along, np.arange(len(along)))
    if full.error > _allowed(full, rounding):
        return _with_holes(along, rounding)
    if full.error > EXACT * full.step and (claimed is None or abs(claimed - full.step) > 0.02 * full.step):
        # Digits as coarse as the step: slices of 1 mm of which one is missing look like rounded ones of 1.03 mm.
        exact = _with_holes(along, 0.0, EXACT)
        if exact is not None and len(exact.missing) < MANY_HOLES * len(along):
            return exact
    return full


def usual_gap(along: NDArray[np.float64]) -> float:
    """Return the distance that most neighbours have."""
    return float(np.median(np.diff(along)))


def _allowed(grid: Grid, rounding: float, slack: float = SLACK) -> float:
    return rounding * (1 + 1e-6) + slack * grid.step + 1e-6


def _with_holes(along: NDArray[np.float64], rounding: float, slack: float = SLACK) -> Grid | None:
    gaps = np.diff(along)
    best: Grid | None = None
    for gap in (usual_gap(along), float(gaps.min())):
        near = gaps[np.abs(gaps - gap) <= max(2 * rounding, 0.05 * gap)]
        if len(near) < OFTEN * len(gaps) or gap <= 4 * rounding:
            continue
        grid = _refined(along, float(near.mean()))
        if grid is None or grid.error > _allowed(grid, rounding, slack):
            continue
        if best is None or grid.index[-1] < best.index[-1]:
            best = grid
    return best


def _refined(along: NDArray[np.float64], step: float) -> Grid | None:
    grid: Grid | None = None
    for _ in range(4):
        counts = np.rint(np.diff(along) / step).astype(np.intp)
        if counts.min() < 1:
            return None
        grid = _fit(along, np.concatenate([[0], np.cumsum(counts)]))
        if abs(grid.step - step) < 1e-9 * step:
            break
        step = grid.step
    return grid


def _fit(along: NDArray[np.float64], index: NDArray[np.intp]) -> Grid:
    """Return the line through (index, position) whose largest error is smallest (Chebyshev's).

    With the best start for a step ``s``, the error is half the range of ``position - s * index``, which is convex in
    ``s``: its minimum is found by narrowing.
    """

    def spread(step: float) -> float:
        rest = along - step * index
        return float(rest.max() - rest.min())

    mean = float((along[-1] - along[0]) / index[-1])
    low, high = mean - 2 * spread(mean) / index[-1], mean + 2 * spread(mean) / index[-1]
    if spread(mean) > 1e-9 * abs(mean):
        for _ in range(60):
            third = (high - low) / 3
            if spread(low + third) <= spread(high - third):
                high -= third
            else:
                low += third
        mean = (low + high) / 2
    rest = along - mean * index
    return Grid(mean, float(rest.max() + rest.min()) / 2, index, spread(mean) / 2)
