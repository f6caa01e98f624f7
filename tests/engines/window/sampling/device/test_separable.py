from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bedside.engines.window.sampling.device import separable
from bedside.engines.window.sampling.volume_augmentation import coarsen_axis

CPU = torch.device("cpu")
GRID = 32


def volumes(count: int, grid: int = GRID) -> torch.Tensor:
    return torch.rand((count, grid, grid, grid), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_are_those_of_the_reference(axis: int) -> None:
    batch = volumes(5)
    matrices = separable.slice_matrices(GRID, 6, CPU)
    thickness = torch.ones(5, 3, dtype=torch.int64)
    thickness[:, axis] = torch.arange(2, 7)
    got = separable.along_axes(batch, matrices[thickness - 1])
    for row in range(5):
        torch.testing.assert_close(got[row], coarsen_axis(batch[row], axis, 2 + row), atol=1e-5, rtol=0)


def test_knots_are_interpolated_as_torch_does() -> None:
    knots = torch.rand((3, 12, 12, 12), generator=torch.Generator().manual_seed(1))
    lines = separable.knot_matrices(GRID, 4, 12, CPU)
    for row, count in enumerate((4, 7, 12)):
        got = separable.along_axes(knots[row : row + 1], lines[count - 4].expand(1, 3, -1, -1))
        part = knots[row, :count, :count, :count][None, None]
        expected = F.interpolate(part, (GRID,) * 3, mode="trilinear", align_corners=True)
        torch.testing.assert_close(got, expected[0], atol=1e-5, rtol=0)
