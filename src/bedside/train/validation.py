"""What a run is followed by: datasets held out of training, and DSC on the grid."""

from __future__ import annotations

import copy

from torch import Tensor

from bedside.data.store import Store


def divide_store(store: Store, held_out: tuple[str, ...]) -> tuple[Store, Store]:
    """Return the store without the held-out sets, and with them alone; no array is copied."""
    kept, held = copy.copy(store), copy.copy(store)
    kept.items = [item for item in store.items if item.info.set_name not in held_out]
    held.items = [item for item in store.items if item.info.set_name in held_out]
    return kept, held


def grid_dice(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return DSC of every sample; bool (batch, *grid) both, (batch,) out."""
    axes = tuple(range(1, truth.ndim))
    overlap = (prediction & truth).sum(dim=axes)
    return 2 * overlap / (prediction.sum(dim=axes) + truth.sum(dim=axes)).clamp(min=1)
