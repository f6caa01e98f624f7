"""Names and shapes of what a network's checkpoint holds, found without making its weights. Needs torch."""

from __future__ import annotations

import torch
from torch import nn

from bedside.weights.models import build_model


def skeleton(name: str) -> nn.Module:
    """Return the network called ``name`` on torch's meta device: shapes without numbers, at no cost in memory.

    Raises:
        InputError: No model has that name.
    """
    with torch.device("meta"):
        return build_model(name)


def key_lines(network: nn.Module) -> list[str]:
    """Return every entry of the state dict as ``name (shape)``, in the network's order."""
    return [f"{key} {tuple(value.shape)}" for key, value in network.state_dict().items()]
