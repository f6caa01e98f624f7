"""Corrective clicks for a whole batch at once, on whatever device the batch is on.

``simulate.clicks`` is the exact rule for evaluation; components and Euclidean distances are too slow for training, so
that here the depth of an error is counted in erosions and the deepest error takes the click.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.preprocess.paint import click_values

MAXIMUM_DEPTH = 24
"""Erosions after which an error counts as deep enough."""
SHARPNESS = (1e4, 8.0, 2.0)
"""Exponents of the depth by which a click is drawn, one taken at random per sample; the first means the deepest."""


def erosion_depth(mask: Tensor) -> Tensor:
    """Erosions (3x3 or 3x3x3) that each cell of ``mask`` survives, plus one; 0 outside.

    Eroding axis by axis gives the same and costs a third in 3D.

    Args:
        mask: (batch, *grid), 0/1 or bool. Beyond the grid counts as outside.

    Returns:
        float32 of the same shape.
    """
    axes = mask.ndim - 1
    current = mask.to(torch.float32)[:, None]
    depth = torch.zeros_like(current)
    for _ in range(MAXIMUM_DEPTH):
        depth = depth + current
        for axis in range(axes):
            current = _erode_axis(current, 2 + axis)
        if not bool(current.any()):
            break
    return depth[:, 0]


def _erode_axis(values: Tensor, axis: int) -> Tensor:
    """The least of each cell and its two neighbours along ``axis``, with 0 beyond the grid."""
    padding = [0, 0] * (values.ndim - 1 - axis) + [1, 1]
    padded = F.pad(values, padding)
    size = values.shape[axis]
    least = torch.minimum(padded.narrow(axis, 0, size), padded.narrow(axis, 2, size))
    return torch.minimum(least, values)


def correction_clicks(error: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One click in the error of every sample, deep inside it.

    Args:
        error: bool (batch, *grid).
        generator: Source of randomness, on the CPU.

    Returns:
        Positions int64 (batch, axes) in array order, and bool (batch,) that is False where there is no error.
    """
    depth = erosion_depth(error)
    flat = depth.flatten(1)
    deepest = flat.amax(dim=1, keepdim=True)
    choice = torch.randint(len(SHARPNESS), (len(flat), 1), generator=generator)
    sharpness = torch.tensor(SHARPNESS)[choice].to(flat.device)
    uniform = torch.rand(flat.shape, generator=generator).to(flat.device).clamp(1e-9, 1 - 1e-7)
    # Adding Gumbel noise to log weights and taking the maximum draws in proportion to the weights.
    score = sharpness * (flat / deepest.clamp(min=1)).clamp(min=1e-9).log() - (-uniform.log()).log()
    score = score.masked_fill(flat == 0, -torch.inf)
    index = score.argmax(dim=1)
    positions = []
    for side in reversed(error.shape[1:]):
        positions.append(index % side)
        index = index // side
    return torch.stack(positions[::-1], dim=1), deepest[:, 0] > 0


def paint_clicks(channel: Tensor, positions: Tensor, active: Tensor) -> Tensor:
    """``channel`` (batch, *grid) with a click painted in every active sample, by maximum."""
    axes = channel.ndim - 1
    squared = torch.zeros((1,) * channel.ndim, device=channel.device)
    for axis in range(axes):
        shape = [-1 if a == axis else 1 for a in range(axes)]
        cells = torch.arange(channel.shape[axis + 1], device=channel.device, dtype=torch.float32).view(1, *shape)
        squared = squared + (cells - positions[:, axis].view(-1, *(1,) * axes)) ** 2
    values = click_values(squared) * active.view(-1, *(1,) * axes)
    return torch.maximum(channel, values)
