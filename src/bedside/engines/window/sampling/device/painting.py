"""Prompts of many samples painted at once, with the values of ``imaging.paint``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.core.prompts import DEFAULT_THICKNESS
from bedside.imaging.paint import click_values


def paint_boxes(low: Tensor, high: Tensor, grid: Sequence[int]) -> Tensor:
    """Return the share of every cell that a box covers; a box thinner than a cell keeps one cell's breadth.

    Args:
        low: float32 (boxes, axes), edge coordinates in array order.
        high: The same.
        grid: Cells along each axis.

    Returns:
        float32 (boxes, *grid).
    """
    thin = high - low < 1
    middle = (low + high) / 2
    low, high = torch.where(thin, middle - 0.5, low), torch.where(thin, middle + 0.5, high)
    covered = torch.ones((len(low), *(1,) * len(grid)), device=low.device)
    for axis in range(len(grid)):
        cells = _line(axis, grid, low.device)
        start, stop = (_on_grid(values[:, axis], grid) for values in (low, high))
        covered = covered * (torch.minimum(cells + 1, stop) - torch.maximum(cells, start)).clamp(0, 1)
    return covered


def paint_points(positions: Tensor, grid: Sequence[int]) -> Tensor:
    """Return a click each.

    Args:
        positions: (clicks, axes) in array order, the centre of the first cell at 0.
        grid: Cells along each axis.

    Returns:
        float32 (clicks, *grid).
    """
    squared = torch.zeros((1,) * (len(grid) + 1), device=positions.device)
    for axis in range(len(grid)):
        squared = squared + (_line(axis, grid, positions.device) - _on_grid(positions[:, axis], grid)) ** 2
    return click_values(squared)


def paint_strokes(points: Tensor, grid: Sequence[int], thickness: float = DEFAULT_THICKNESS) -> Tensor:
    """Return a stroke each along a chain of points.

    Args:
        points: float32 (strokes, points, axes) in array order, the centre of the first cell at 0.
        grid: Cells along each axis.
        thickness: In cells.

    Returns:
        float32 (strokes, *grid).
    """
    nearest = None
    lines = [_line(axis, grid, points.device) for axis in range(len(grid))]
    for begin, end in zip(points.unbind(1), points.unbind(1)[1:], strict=False):
        along = end - begin
        length = along.square().sum(dim=1).clamp(min=1e-12)
        offsets = [line - _on_grid(begin[:, axis], grid) for axis, line in enumerate(lines)]
        share = sum(o * _on_grid(along[:, axis] / length, grid) for axis, o in enumerate(offsets))
        assert isinstance(share, Tensor)
        share = share.clamp(0, 1)
        squared = sum((o - share * _on_grid(along[:, axis], grid)) ** 2 for axis, o in enumerate(offsets))
        assert isinstance(squared, Tensor)
        nearest = squared if nearest is None else torch.minimum(nearest, squared)
    assert nearest is not None
    return (max(thickness, 1.0) / 2 + 0.5 - nearest.sqrt()).clamp(0, 1)


def thicken(cells: Tensor, thickness: float = DEFAULT_THICKNESS) -> Tensor:
    """Return what strokes through each of the cells of masks would paint.

    Args:
        cells: bool (strokes, *grid).
        thickness: In cells, at most 2.

    Returns:
        float32 of the same shape.
    """
    axes = cells.ndim - 1
    painted = cells.float()
    padded = F.pad(painted, [1, 1] * axes)
    reach = max(thickness, 1.0) / 2 + 0.5
    result = painted
    for shift in product(range(3), repeat=axes):
        value = reach - sum((s - 1) ** 2 for s in shift) ** 0.5
        if any(s != 1 for s in shift) and value > 0:
            moved = padded
            for axis, begin in enumerate(shift):
                moved = moved.narrow(1 + axis, begin, cells.shape[1 + axis])
            result = torch.maximum(result, value * moved)
    return result


def _line(axis: int, grid: Sequence[int], device: torch.device) -> Tensor:
    """Return numbers of the cells along an axis, shaped to be broadcast over (batch, *grid)."""
    cells = torch.arange(grid[axis], dtype=torch.float32, device=device)
    return cells.view(1, *[-1 if a == axis else 1 for a in range(len(grid))])


def _on_grid(values: Tensor, grid: Sequence[int]) -> Tensor:
    return values.view(-1, *(1,) * len(grid))
