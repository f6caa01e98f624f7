"""Weights of a network in two dimensions as a start for the same network in three.

After Carreira and Zisserman's inflation (CVPR 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor

COLOURS = 3
"""Leading input channels in two dimensions that become the one channel of a volume."""
SIDE_SHARE = 0.1
"""Share of a kernel of three that each neighbouring slice gets; the slice itself keeps the rest."""


def inflate(state: dict[str, Tensor], side_share: float = SIDE_SHARE) -> dict[str, Tensor]:
    """Return a state dict of ``ResidualUNet`` in 2D with colour as one in 3D without.

    What is constant along the new axis is predicted as the 2D network predicts each of its slices (away from the first
    and last, beyond which there are zeros): kernels of three get the shares ``side_share``, the rest, ``side_share``
    along the new axis, kernels of two a half and a half, and the three colours' weights are added up.

    Args:
        state: Tensors by name.
        side_share: 0 keeps the slices apart.

    Returns:
        New tensors, float32.
    """
    return {name: _inflate_tensor(name, value.float(), side_share) for name, value in state.items()}


def _inflate_tensor(name: str, value: Tensor, side_share: float) -> Tensor:
    if value.ndim < 4:
        return value.clone()
    if name == "stem.weight":
        value = _merge_colours(value.reshape(len(value), -1, 4, *value.shape[2:]))
        # Every input channel is folded to eight instead of four: the two slices of a block share its weight.
        value = (value.repeat(1, 1, 2, 1, 1) / 2).flatten(1, 2)
    elif name == "head_input.weight":
        value = _merge_colours(value)
    size = value.shape[-1]
    shares = {1: [1.0], 2: [0.5, 0.5], 3: [side_share, 1 - 2 * side_share, side_share]}[size]
    return value[:, :, None] * torch.tensor(shares).view(1, 1, -1, 1, 1)


def _merge_colours(value: Tensor) -> Tensor:
    return torch.cat([value[:, :COLOURS].sum(dim=1, keepdim=True), value[:, COLOURS:]], dim=1)
