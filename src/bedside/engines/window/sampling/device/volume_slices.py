"""Prompts on slices of volumes, many at once: a slice of any plane is drawn on as ``plane_starts`` draws on images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bedside.engines.window.sampling.device import morphology
from bedside.engines.window.sampling.device.painting import paint_strokes, thicken
from bedside.engines.window.sampling.device.plane_starts import lasso_areas, line_ends, ridge_points, ring_cells

Table = Mapping[str, Tensor]


@dataclass(frozen=True)
class Slices:
    """One slice of each of some cubic grids.

    Attributes:
        axis: int64 (slices,), across which it is cut.
        index: int64 (slices,), its number.
        grid: Cells along each side.
    """

    axis: Tensor
    index: Tensor
    grid: int

    @classmethod
    def pick(cls, truth: Tensor, axis: Tensor, choice: Tensor) -> Slices:
        """Return slices drawn in proportion to the area of masks on them.

        Args:
            truth: bool (slices, grid, grid, grid).
            axis: int64 (slices,).
            choice: float32 (slices,), 0 to below 1.
        """
        grid = truth.shape[1]
        rest = [[a for a in (1, 2, 3) if a != kept] for kept in (1, 2, 3)]
        areas = torch.stack([truth.sum(dim=others) for others in rest], dim=1)
        area = areas.gather(1, axis[:, None, None].expand(-1, 1, grid))[:, 0]
        before = area.cumsum(dim=1)
        # Whole cells are counted, so that no rounding leads to a slice without the object.
        wanted = (choice * before[:, -1]).floor().long()
        wanted = torch.minimum(wanted, (before[:, -1] - 1).clamp(min=0))
        index = (before <= wanted[:, None]).sum(dim=1).clamp(max=grid - 1)
        return cls(axis, index, grid)

    def of(self, chosen: Tensor) -> Slices:
        """Return some of the slices."""
        return Slices(self.axis[chosen], self.index[chosen], self.grid)

    @property
    def cells(self) -> Tensor:
        """The cells that lie on them, bool (slices, grid, grid, grid)."""
        line = torch.arange(self.grid, device=self.index.device)
        on = line == self.index[:, None]
        free = [(self.axis != a)[:, None] for a in range(3)]
        z, y, x = (on | f for f in free)
        return z[:, :, None, None] & y[:, None, :, None] & x[:, None, None, :]

    def cut(self, values: Tensor) -> Tensor:
        """Return what lies on them of (slices, grid, grid, grid): (slices, grid, grid), the other two axes in their
        order.
        """
        index = self._places().flatten(1)
        return values.flatten(1).gather(1, index).view(-1, self.grid, self.grid)

    def lift(self, values: Tensor) -> Tensor:
        """Return grids (slices, grid, grid, grid) that hold ``values`` on the slices and 0 elsewhere; inverse of
        ``cut``.
        """
        empty = values.new_zeros((len(values), self.grid**3))
        whole = empty.scatter(1, self._places().flatten(1), values.flatten(1))
        return whole.view(-1, *(self.grid,) * 3)

    def lift_points(self, points: Tensor) -> Tensor:
        """Return positions float32 (slices, points, 2) on the slices as ones in the grids, (slices, points, 3)."""
        height = self.index[:, None].expand(-1, points.shape[1]).to(points.dtype)
        first, second = points.unbind(2)
        axis = self.axis[:, None]
        z = torch.where(axis == 0, height, first)
        y = torch.where(axis == 1, height, torch.where(axis == 0, first, second))
        x = torch.where(axis == 2, height, second)
        return torch.stack([z, y, x], dim=2)

    def _places(self) -> Tensor:
        """Return flat indices of the slices' cells in the grids, int64 (slices, grid, grid)."""
        across, first, second = (
            self.grid ** (2 - a) for a in (self.axis, (self.axis == 0).long(), 2 - (self.axis == 2).long())
        )
        line = torch.arange(self.grid, device=self.index.device)
        rows = (self.index * across)[:, None] + line * first[:, None]
        return rows[:, :, None] + (line * second[:, None])[:, None]


def paint_lassos(slices: Slices, truth: Tensor, lasso: Tensor, keys: Tensor) -> Tensor:
    """Return areas of lassos around masks on slices, float32 0/1.

    Args:
        slices: On which they are drawn.
        truth: bool (slices, grid, grid, grid).
        lasso: float32 (slices, 2), see ``plane_starts.lasso_areas``.
        keys: int64 (slices,).
    """
    return slices.lift(lasso_areas(slices.cut(truth), lasso, keys).float())


def paint_scribbles(slices: Slices, truth: Tensor, table: Table, keys: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield scribbles in the largest part of masks on slices.

    Args:
        slices: Some of which are drawn on.
        truth: bool (slices, grid, grid, grid).
        table: "lines", "ridges" and "rings" with what follows them, see ``volume_starts.draw_volume_starts``.
        keys: int64 (slices,).

    Yields:
        Which of the slices, and their painted grids, float32 (chosen, grid, grid, grid).
    """
    grid = (slices.grid,) * 3
    if len(chosen := table["lines"]):
        some = slices.of(chosen)
        ends = line_ends(morphology.largest_part(some.cut(truth[chosen])), keys[chosen])
        yield chosen, paint_strokes(some.lift_points(ends), grid)
    if len(chosen := table["ridges"]):
        some = slices.of(chosen)
        points = ridge_points(_depth(some, truth[chosen]), table["ridge_ends"])
        yield chosen, paint_strokes(some.lift_points(points), grid)
    if len(chosen := table["rings"]):
        some = slices.of(chosen)
        arguments = table["ring_level"], table["ring_start"], table["ring_length"], keys[chosen]
        cells = ring_cells(_depth(some, truth[chosen]), *arguments)
        yield chosen, thicken(some.lift(cells))


def _depth(slices: Slices, truth: Tensor) -> Tensor:
    """Return depth of masks' largest parts on slices, (slices, grid, grid)."""
    return morphology.depth(morphology.largest_part(slices.cut(truth)))
