"""Parameters stored in fewer bits: as float16, or a convolution's weights as int8 with one scale a channel.

A tensor ``name`` that is stored as int8 has a companion ``name.scale``: the value is their product, the scale being
that of the first axis, the output channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

StoredPrecision = Literal["float16", "float32", "int8"]
"""What parameters can be stored as; "int8" keeps everything but large weights of convolutions as float16."""
SCALE = ".scale"
LARGE = 1024
"""Values from which a tensor is worth packing into int8."""


def pack(state: Mapping[str, Tensor], precision: StoredPrecision) -> dict[str, Tensor]:
    """Return the tensors as they are stored.

    Args:
        state: float32 tensors by name.
        precision: What to store them as.
    """
    import torch

    packed: dict[str, Tensor] = {}
    for name, value in state.items():
        given = value.detach().cpu()
        if precision == "int8" and given.ndim > 2 and given.numel() >= LARGE:
            packed[name], packed[name + SCALE] = quantise_channels(given)
        else:
            packed[name] = given.to(torch.float32 if precision == "float32" else torch.float16).contiguous()
    return packed


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 values of stored tensors; the inverse of ``pack`` up to its rounding."""
    values: dict[str, Tensor] = {}
    for name, stored in tensors.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        value = stored.float()
        if name + SCALE in tensors:
            value = value * tensors[name + SCALE].float().view(-1, *(1,) * (value.ndim - 1))
        values[name] = value
    return values


def quantise_channels(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return int8 values and float32 scales (channels,) of a tensor (channels, ...): symmetric, the largest becomes
    127.
    """
    import torch

    flat = value.float().flatten(1)
    scale = (flat.abs().amax(dim=1) / 127).clamp(min=1e-12)
    rounded = (flat / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
    return rounded.reshape(value.shape).contiguous(), scale
