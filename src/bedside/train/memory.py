"""Keeping a training step below the memory it is told."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bedside.core.errors import InputError
from bedside.train.config import TrainingConfig
from bedside.train.precision import autocast
from bedside.weights.models import model_card

OVERHEAD = 1.6
"""Memory of a step in parts of what is saved for the backward pass: gradients of activations, workspaces."""


def activation_bytes(network: nn.Module, inputs: Tensor, precision: str) -> int:
    """Return bytes that a forward pass saves for the backward pass, weights not counted."""
    with autocast(inputs.device, precision):
        return saved_bytes(network, lambda: network(inputs))


def saved_bytes(network: nn.Module, forward: Callable[[], object]) -> int:
    """Return bytes that a computation with a network saves for its backward pass, weights not counted."""
    weights = {p.data_ptr() for p in network.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            size = tensor.numel() * tensor.element_size()
            seen[tensor.data_ptr()] = max(size, seen.get(tensor.data_ptr(), 0))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        forward()
    return sum(seen.values())


def largest_micro_batch(
    network: nn.Module, config: TrainingConfig, device: torch.device, memory_gb: float | None, batch: int
) -> int:
    """Return samples of the window family that fit at once, at most ``batch``.

    Raises:
        InputError: Not even one sample fits.
    """
    if memory_gb is None:
        return batch
    check_memory(memory_gb)
    card = model_card(config.model)
    inputs = torch.zeros((1, len(card.channels), *(config.sampling.grid,) * card.dimensions), device=device)
    return samples_that_fit(network, activation_bytes(network, inputs, config.precision), batch, memory_gb)


def samples_that_fit(network: nn.Module, saved: int, batch: int, memory_gb: float) -> int:
    """Return samples that fit at once, at most ``batch``.

    Args:
        network: Whose weights, gradients and the like take memory, too.
        saved: Bytes that a forward pass of one sample saves, see ``saved_bytes``.
        batch: The most that is asked for.
        memory_gb: The limit.

    Raises:
        InputError: Not even one sample fits.
    """
    each = OVERHEAD * saved
    fixed = weight_bytes(network)
    fitting = int((memory_gb * 1e9 - fixed) // each)
    if fitting < 1:
        raise InputError("memory", expected=f"at least {(fixed + each) / 1e9:.1f} GB for one sample", got=memory_gb)
    return min(batch, fitting)


def weight_bytes(network: nn.Module) -> int:
    """Return bytes of weights, their average, gradients and the two moments of AdamW, in float32."""
    return 5 * 4 * sum(p.numel() for p in network.parameters())


def check_memory(memory_gb: float) -> None:
    """Reject a memory that is no positive number.

    Raises:
        InputError: It is none.
    """
    if not memory_gb > 0 or math.isinf(memory_gb):
        raise InputError("memory", expected="a positive number of GB", got=memory_gb)
