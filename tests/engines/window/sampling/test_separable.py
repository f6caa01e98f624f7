from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bedside.engines.window.sampling import separable

CPU = torch.device("cpu")
GRID = 32


def volumes(count: int, grid: int = GRID) -> torch.Tensor:
    return torch.rand((count, grid, grid, grid), generator=torch.Generator().manual_seed(0))


def thick_slices(volume: torch.Tensor, axis: int, thickness: int) -> torch.Tensor:
    """The volume averaged over slices across an axis and interpolated back, by torch's own operations."""
    kernel, shape = [1, 1, 1], list(volume.shape)
    kernel[axis] = thickness
    coarse = F.avg_pool3d(volume[None, None], kernel, ceil_mode=True, count_include_pad=False)
    shape[axis] = coarse.shape[2 + axis] * thickness
    fine = F.interpolate(coarse, shape, mode="trilinear", align_corners=False)[0, 0]
    return fine.narrow(axis, 0, volume.shape[axis])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_are_averaged_and_interpolated_back(axis: int) -> None:
    batch = volumes(5)
    matrices = separable.slice_matrices(GRID, 6, CPU)
    thickness = torch.ones(5, 3, dtype=torch.int64)
    thickness[:, axis] = torch.arange(2, 7)
    got = separable.along_axes(batch, matrices[thickness - 1])
    for row in range(5):
        torch.testing.assert_close(got[row], thick_slices(batch[row], axis, 2 + row), atol=1e-5, rtol=0)
