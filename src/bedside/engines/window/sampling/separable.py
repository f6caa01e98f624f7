"""Changes of volumes that act on one axis after the other: a matrix for each axis of each sample."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def along_axes(values: Tensor, matrices: Tensor) -> Tensor:
    """Return values with every line of cells multiplied by its sample's matrix, along one axis after the other.

    Args:
        values: float32 (batch, z, y, x).
        matrices: float32 (batch, 3, cells after, cells before), of z, y and x.
    """
    along_z, along_y, along_x = matrices.unbind(1)
    values = torch.einsum("bij,bjyx->biyx", along_z, values)
    values = torch.einsum("bij,bzjx->bzix", along_y, values)
    return torch.einsum("bij,bzyj->bzyi", along_x, values)


@lru_cache(maxsize=8)
def slice_matrices(grid: int, thickest: int, device: torch.device) -> Tensor:
    """Return (thickest, grid, grid): a line of cells as slices 1, 2, ... cells thick show it, interpolated back.

    Slices begin at the first cell; the last may be thinner, and its middle is where a whole one's would be.
    """
    identity = torch.eye(grid, device=device)[:, None]
    changed = []
    for thickness in range(1, thickest + 1):
        thick = F.avg_pool1d(identity, thickness, ceil_mode=True)
        fine = F.interpolate(thick, thick.shape[2] * thickness, mode="linear", align_corners=False)
        changed.append(fine[:, 0, :grid].T)
    return torch.stack(changed)
