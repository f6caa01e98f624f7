from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from bedside.engines.window.sampling.device.volume_slices import Slices

GRID = 16


def blobs(count: int) -> Tensor:
    noise = np.random.default_rng(0).standard_normal((count, GRID, GRID, GRID))
    return torch.from_numpy(ndimage.gaussian_filter(noise, (0, 2, 2, 2)) > 0.03)


def test_slices_are_cut_and_lifted_in_the_order_of_the_axes() -> None:
    values = torch.rand((3, GRID, GRID, GRID), generator=torch.Generator().manual_seed(0))
    axis, index = torch.tensor([0, 1, 2]), torch.tensor([3, 15, 0])
    slices = Slices(axis, index, GRID)
    planes, lifted = slices.cut(values), slices.lift(slices.cut(values))
    for row in range(3):
        expected = values[row].select(row, int(index[row]))
        assert torch.equal(planes[row], expected)
        assert torch.equal(lifted[row].select(row, int(index[row])), expected)
        assert torch.equal(lifted[row] != 0, slices.cells[row])
        assert int(slices.cells[row].sum()) == GRID**2


def test_points_are_lifted_to_where_their_cells_are() -> None:
    axis, index = torch.tensor([0, 1, 2]), torch.tensor([3, 15, 0])
    slices = Slices(axis, index, GRID)
    points = torch.tensor([[2.0, 5.0], [7.0, 1.0]]).expand(3, -1, -1)
    plane = torch.zeros(3, GRID, GRID)
    plane[:, 2, 5] = plane[:, 7, 1] = 1
    places = slices.lift_points(points).long()
    lifted = slices.lift(plane)
    for row in range(3):
        assert {tuple(p) for p in places[row].tolist()} == {tuple(p) for p in lifted[row].nonzero().tolist()}


def test_slices_are_drawn_in_proportion_to_the_area_on_them() -> None:
    truth = blobs(1)
    count = 6000
    choice = (torch.arange(count) + 0.5) / count
    for axis in range(3):
        slices = Slices.pick(truth.expand(count, -1, -1, -1), torch.full((count,), axis), choice)
        areas = truth[0].sum(dim=[a for a in range(3) if a != axis]).double()
        counts = torch.bincount(slices.index, minlength=GRID).double()
        torch.testing.assert_close(counts / count, areas / areas.sum(), atol=1e-3, rtol=0)
        assert bool(slices.cut(truth.expand(count, -1, -1, -1)).flatten(1).any(dim=1).all())


def test_the_last_choice_still_meets_the_object() -> None:
    truth = blobs(3)
    slices = Slices.pick(truth, torch.arange(3), torch.full((3,), 1 - 2.0**-24))
    assert bool(slices.cut(truth).flatten(1).any(dim=1).all())
    empty = Slices.pick(truth & False, torch.arange(3), torch.rand(3))
    assert bool(((empty.index >= 0) & (empty.index < GRID)).all())
