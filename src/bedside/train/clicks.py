"""Corrective clicks for a whole batch at once, on whatever device the batch is on.

``simulate.clicks`` is the exact rule for evaluation; components and Euclidean distances are too slow for training, so
that here the depth of an error is counted in erosions and the deepest error takes the click.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.train.hashing import cell_bits, uniform_cells
from bedside.train.processes import current_processes

MAXIMUM_DEPTH = 24
"""Erosions after which an error counts as deep enough."""
SHARPNESS = (1e4, 8.0, 2.0)
"""Exponents of the depth by which a click is drawn, one taken at random per sample; the first means the deepest."""
FIRST_STREAM = 100
"""Of the noise of clicks; streams before it are those that samples are made with."""


class CellNoise:
    """Randomness of clicks that is made where the clicks are, so that nothing is sent to the device.

    Args:
        keys: int64 (batch,), one key a sample, on the samples' device.
        seed: Seed of the training step, 0 or more and below 2^62.
    """

    def __init__(self, keys: Tensor, seed: int) -> None:
        self._keys, self._stream = keys ^ seed, FIRST_STREAM

    def draw(self, cells: int) -> tuple[Tensor, Tensor]:
        """Return another sharpness (batch, 1) and other uniform numbers (batch, cells) with every call, float32."""
        choice = cell_bits(self._keys, self._stream, 1) % len(SHARPNESS)
        sharpness = torch.full_like(choice, SHARPNESS[0], dtype=torch.float32)
        for number, value in enumerate(SHARPNESS[1:], start=1):
            sharpness = sharpness.masked_fill(choice == number, value)
        self._stream += 2
        return sharpness, uniform_cells(self._keys, self._stream - 1, cells)


Randomness = torch.Generator | CellNoise
"""A generator is on the CPU, and its numbers are sent to the device."""


def erosion_depth(mask: Tensor) -> Tensor:
    """Return erosions (3x3 or 3x3x3) that each cell of ``mask`` survives, plus one; 0 outside.

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
        # Asking costs nothing there; elsewhere further erosions change nothing.
        if current.device.type == "cpu" and not bool(current.any()):
            break
    return depth[:, 0]


def _erode_axis(values: Tensor, axis: int) -> Tensor:
    """Return the least of each cell and its two neighbours along ``axis``, with 0 beyond the grid."""
    padding = [0, 0] * (values.ndim - 1 - axis) + [1, 1]
    padded = F.pad(values, padding)
    size = values.shape[axis]
    least = torch.minimum(padded.narrow(axis, 0, size), padded.narrow(axis, 2, size))
    return torch.minimum(least, values)


def correction_clicks(error: Tensor, randomness: Randomness) -> tuple[Tensor, Tensor]:
    """Return one click in the error of every sample, deep inside it.

    Args:
        error: bool (batch, *grid).
        randomness: Its source.

    Returns:
        Positions int64 (batch, axes) in array order, and bool (batch,) that is False where there is no error.
    """
    depth = erosion_depth(error)
    flat = depth.flatten(1)
    deepest = flat.amax(dim=1, keepdim=True)
    sharpness, uniform = _draw(flat, randomness)
    uniform = uniform.clamp(1e-9, 1 - 1e-7)
    # Adding Gumbel noise to log weights and taking the maximum draws in proportion to the weights.
    score = sharpness * (flat / deepest.clamp(min=1)).clamp(min=1e-9).log() - (-uniform.log()).log()
    score = score.masked_fill(flat == 0, -torch.inf)
    index = score.argmax(dim=1)
    positions = []
    for side in reversed(error.shape[1:]):
        positions.append(index % side)
        index = index // side
    return torch.stack(positions[::-1], dim=1), deepest[:, 0] > 0


def _draw(flat: Tensor, randomness: Randomness) -> tuple[Tensor, Tensor]:
    """Return a sharpness (batch, 1) and uniform numbers (batch, cells)."""
    if isinstance(randomness, CellNoise):
        return randomness.draw(flat.shape[1])
    processes = current_processes()
    # Drawn for the whole batch, of which this process has its part.
    whole = processes.count * len(flat)
    choice = processes.own(torch.randint(len(SHARPNESS), (whole, 1), generator=randomness))
    sharpness = torch.tensor(SHARPNESS)[choice].to(flat.device)
    return sharpness, processes.own(torch.rand((whole, flat.shape[1]), generator=randomness)).to(flat.device)


def squared_distances(positions: Tensor, grid: Sequence[int]) -> Tensor:
    """Return squared distance of every cell from each sample's click, in cells.

    Args:
        positions: (batch, axes) in array order.
        grid: Cells along each axis.

    Returns:
        float32 (batch, *grid).
    """
    axes = len(grid)
    squared = torch.zeros((1,) * (axes + 1), device=positions.device)
    for axis, count in enumerate(grid):
        shape = [-1 if a == axis else 1 for a in range(axes)]
        cells = torch.arange(count, device=positions.device, dtype=torch.float32).view(1, *shape)
        squared = squared + (cells - positions[:, axis].view(-1, *(1,) * axes)) ** 2
    return squared
