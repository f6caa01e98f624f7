"""Distances, connected parts and outlines of many masks at once, in two or three dimensions.

Everything has a fixed number of steps, so that nothing has to be read back from the device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FAR = 1e6
"""Squared distance where there is nothing to measure from."""
AT_ONCE = 16
"""Cells of each line whose distances are found at once; memory grows with them."""
ROUNDS = {2: 9, 3: 8}
"""Rounds in which connected parts are joined, by the number of axes. Each at least doubles how far a label has come."""


def squared_distance(mask: Tensor, *, border: bool) -> Tensor:
    """Return squared Euclidean distance in cells from each cell of ``mask`` to the nearest cell outside; 0 outside.

    Exact: along one axis after the other the least of the distances so far plus the square of the way is taken
    (Saito and Toriwaki, Pattern Recognition 1994).

    Args:
        mask: bool (batch, *grid).
        border: Whether what lies beyond the grid counts as outside. Where it does not and a mask fills its grid, the
            distance is large.

    Returns:
        float32 of the same shape.
    """
    result = _squared_along(mask, mask.ndim - 1, border)
    # Steps that are bounded by what is known spare a processor most of the work; a GPU is spared most of the launches.
    combine = _least_by_steps if mask.device.type == "cpu" else least_by_matrix
    for axis in range(mask.ndim - 2, 0, -1):
        result = combine(result, axis, border)
    return result


def _least_by_steps(squared: Tensor, axis: int, border: bool) -> Tensor:
    """Return the least along ``axis`` of the distances of other cells plus the square of the way to them, for a CPU."""
    size = squared.shape[axis]
    # With the border outside, no cell is deeper than half the grid; and what is known already bounds every distance.
    reach = (size + 1) // 2 if border else size - 1
    reach = min(reach, int(squared.max().sqrt())) if squared.numel() else reach
    padding = [0, 0] * (squared.ndim - 1 - axis) + [reach, reach]
    padded = F.pad(squared, padding, value=0.0 if border else FAR)
    best = squared.clone()
    for step in range(1, reach + 1):
        for begin in (reach - step, reach + step):
            torch.minimum(best, padded.narrow(axis, begin, size) + float(step * step), out=best)
    return best


def least_by_matrix(squared: Tensor, axis: int, border: bool) -> Tensor:
    """Return the same in a few operations, with nothing read back."""
    size = squared.shape[axis]
    cells = torch.arange(size, dtype=torch.float32, device=squared.device)
    ways = (cells[:, None] - cells).square()
    lines = squared.movedim(axis, -1)
    best = torch.cat([(lines[..., None, :] + part).amin(dim=-1) for part in torch.split(ways, AT_ONCE)], dim=-1)
    if border:
        best = torch.minimum(best, torch.minimum(cells + 1, size - cells).square())
    return best.movedim(-1, axis)


def _squared_along(mask: Tensor, axis: int, border: bool) -> Tensor:
    """Return squared distance along one axis to the nearest cell outside, from both sides."""
    size = mask.shape[axis]
    shape = [-1 if a == axis else 1 for a in range(mask.ndim)]
    place = torch.arange(size, device=mask.device).view(shape).expand_as(mask)
    never = -1 if border else -int(FAR**0.5)
    ahead = place - place.masked_fill(mask, never).cummax(dim=axis).values
    behind = place - place.masked_fill(mask.flip(axis), never).cummax(dim=axis).values
    return torch.minimum(ahead, behind.flip(axis)).float().square().clamp(max=FAR)


def depth(mask: Tensor) -> Tensor:
    """Return distance in cells to the nearest cell outside, the grid's border being outside; see
    ``squared_distance``.
    """
    return squared_distance(mask, border=True).sqrt()


def label_parts(mask: Tensor, *, full: bool = True) -> Tensor:
    """Number the connected parts of masks.

    Labels spread to neighbours, and what a label's first cell learns all its cells learn (Shiloach and Vishkin, 1982).

    Args:
        mask: bool (batch, *grid).
        full: Whether cells that share a corner are neighbours, or only those that share a side.

    Returns:
        int64 of the same shape: in each part the largest index of its cells plus one; 0 outside.
    """
    shape, axes = mask.shape, mask.ndim - 1
    inside = mask.flatten(1)
    cells = inside.shape[1]
    labels = torch.arange(1, cells + 1, device=mask.device).expand(len(mask), -1) * inside
    for _ in range(ROUNDS[axes]):
        spread = _highest_around(labels.reshape(shape).float(), full).flatten(1).long() * inside
        # Index 0 stands for what is outside and stays 0.
        table = F.pad(labels, (1, 0))
        table = table.scatter_reduce(1, labels, spread, "amax", include_self=True)
        for _ in range(2):
            table = table.gather(1, table)
        before, labels = labels, table.gather(1, torch.maximum(labels, spread)) * inside
        # Asking costs nothing there; elsewhere the further rounds change nothing.
        if mask.device.type == "cpu" and torch.equal(before, labels):
            break
    return labels.reshape(shape)


def _highest_around(values: Tensor, full: bool) -> Tensor:
    """Return the highest of each cell and its neighbours."""
    axes = values.ndim - 1
    highest = values
    for axis in range(1, axes + 1):
        source = highest if full else values
        padded = F.pad(source, [0, 0] * (axes - axis) + [1, 1])
        size = values.shape[axis]
        both = torch.maximum(padded.narrow(axis, 0, size), padded.narrow(axis, 2, size))
        highest = torch.maximum(highest, both)
    return highest


def largest_part(mask: Tensor) -> Tensor:
    """Return bool, the connected part of each mask with most cells (batch, *grid); empty where the mask is."""
    labels = label_parts(mask).flatten(1)
    sizes = torch.zeros((len(mask), labels.shape[1] + 1), device=mask.device)
    sizes = sizes.scatter_add(1, labels, torch.ones_like(labels, dtype=sizes.dtype))
    sizes[:, 0] = 0
    chosen = sizes.argmax(dim=1)
    return ((labels == chosen[:, None]) & (labels > 0)).reshape(mask.shape)


def fill_holes(mask: Tensor) -> Tensor:
    """Return masks with what they enclose (batch, *grid); a way out leads through sides of cells."""
    axes = mask.ndim - 1
    outside = label_parts(~F.pad(mask, [1, 1] * axes), full=False)
    # The frame around the grid holds the last cell, so that all that joins it has the highest number.
    beyond = outside == outside.flatten(1)[:, -1].reshape(-1, *(1,) * axes)
    inner = (slice(None),) + (slice(1, -1),) * axes
    return ~beyond[inner]


def bounds(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Start and stop of each mask along each axis, float32 (batch, axes) both; of an empty one 0 and the size."""
    starts, stops = [], []
    for axis in range(1, mask.ndim):
        others = [a for a in range(1, mask.ndim) if a != axis]
        profile = mask.amax(dim=others).to(torch.uint8)
        starts.append(profile.argmax(dim=1))
        stops.append(mask.shape[axis] - profile.flip(1).argmax(dim=1))
    return torch.stack(starts, dim=1).float(), torch.stack(stops, dim=1).float()


def pick_cells(weights: Tensor, uniform: Tensor) -> Tensor:
    """Return a random cell of each sample, in proportion to ``weights``.

    Args:
        weights: float32 (batch, *grid), 0 or more; where all are 0 the cell is the first.
        uniform: float32 (batch, cells), above 0 and below 1.

    Returns:
        int64 (batch, axes) in array order.
    """
    # An exponential variable divided by its weight is least with a probability in proportion to the weight.
    index = (-uniform.log() / weights.flatten(1).clamp(min=1e-30)).argmin(dim=1)
    return unravel(index, weights.shape[1:])


def unravel(index: Tensor, shape: torch.Size | tuple[int, ...]) -> Tensor:
    """Return positions int64 (batch, axes) in array order of flat indices."""
    positions = []
    for side in reversed(shape):
        positions.append(index % side)
        index = index // side
    return torch.stack(positions[::-1], dim=1)
