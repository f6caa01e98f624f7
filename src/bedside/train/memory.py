"""Keeping a training step below the memory it is told."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bedside.core.errors import InputError
from bedside.models.registry import model_card
from bedside.train.config import TrainingConfig
from bedside.train.rounds import autocast

OVERHEAD = 1.6
"""Memory of a step in parts of what is saved for the backward pass: gradients of activations, workspaces."""


def activation_bytes(network: nn.Module, inputs: Tensor, precision: str) -> int:
    """Bytes that a forward pass saves for the backward pass, weights not counted."""
    weights = {p.data_ptr() for p in network.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            size = tensor.numel() * tensor.element_size()
            seen[tensor.data_ptr()] = max(size, seen.get(tensor.data_ptr(), 0))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast(inputs.device, precision):
        network(inputs)
    return sum(seen.values())


def largest_micro_batch(
    network: nn.Module, config: TrainingConfig, device: torch.device, memory_gb: float | None
) -> int:
    """Samples that fit at once, at most the batch.

    Raises:
        InputError: Not even one sample fits.
    """
    if memory_gb is None:
        return config.batch
    if not memory_gb > 0 or math.isinf(memory_gb):
        raise InputError("memory", expected="a positive number of GB", got=memory_gb)
    card = model_card(config.model)
    inputs = torch.zeros((1, len(card.channels), *(config.sampling.grid,) * card.dimensions), device=device)
    each = OVERHEAD * activation_bytes(network, inputs, config.precision)
    # Weights, their average, gradients and the two moments of AdamW, in float32.
    fixed = 5 * 4 * sum(p.numel() for p in network.parameters())
    fitting = int((memory_gb * 1e9 - fixed) // each)
    if fitting < 1:
        raise InputError("memory", expected=f"at least {(fixed + each) / 1e9:.1f} GB for one sample", got=memory_gb)
    return min(config.batch, fitting)
