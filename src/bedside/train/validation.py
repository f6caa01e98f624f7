"""What a run is followed by: DSC on the grid."""

from __future__ import annotations

from torch import Tensor


def grid_dice(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return DSC of every sample; bool (batch, *grid) both, (batch,) out."""
    axes = tuple(range(1, truth.ndim))
    overlap = (prediction & truth).sum(dim=axes)
    return 2 * overlap / (prediction.sum(dim=axes) + truth.sum(dim=axes)).clamp(min=1)
