"""Windows of many images read at once from flat buffers, on whatever device those are; two axes or three.

What is read is given by the tables of ``plane_windows`` and ``volume_windows``; their fields are named there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from bedside.engines.window.sampling.device.buffers import Buffers
from bedside.engines.window.sampling.device.pyramid import FULL

MODES = {2: "bicubic", 3: "trilinear"}
"""Interpolation of smooth fields by the number of axes."""

Table = Mapping[str, Tensor]


def window_positions(table: Table, grid: int) -> Tensor:
    """Return where the centres of the grid's cells lie.

    Args:
        table: Table of windows.
        grid: Cells along each side.

    Returns:
        float32 (batch, axes, *grid), pixel edge coordinates of each window's level.
    """
    matrix, centre = table["matrix"], table["centre"]
    axes = matrix.shape[1]
    line = (torch.arange(grid, dtype=torch.float32, device=matrix.device) + 0.5) / grid - 0.5
    unit = torch.stack(torch.meshgrid(*[line] * axes, indexing="ij")).reshape(1, axes, -1)
    places = unit.expand(len(matrix), -1, -1)
    if len(table["displaced"]):
        field = smooth_field(table["displacement"], grid).flatten(2)
        places = places.index_add(0, table["displaced"], field)
    return (matrix @ places + centre[..., None]).reshape(-1, axes, *(grid,) * axes)


def smooth_field(knots: Tensor, grid: int) -> Tensor:
    """Return values at evenly spaced knots, the outermost at the border, interpolated on a grid.

    Args:
        knots: float32 (batch, channels, *knots).
        grid: Cells along each side.

    Returns:
        float32 (batch, channels, *grid).
    """
    return F.interpolate(knots, (grid,) * (knots.ndim - 2), mode=MODES[knots.ndim - 2], align_corners=True)


def inside_image(positions: Tensor, extent: Tensor) -> Tensor:
    """Return whether positions lie within the image, bool (batch, *grid); ``extent`` is float32 (batch, axes)."""
    limits = extent.reshape(*extent.shape, *(1,) * (positions.ndim - 2))
    return ((positions >= 0) & (positions <= limits)).all(dim=1)


def read_image(buffers: Buffers, table: Table, positions: Tensor, channels: int) -> Tensor:
    """Return interpolated values of images; beyond an image those of its border.

    Args:
        buffers: The store in the device's memory.
        table: Table of windows.
        positions: As ``window_positions`` gives them.
        channels: 3, of which those of grey images are equal, or 1.

    Returns:
        float32 (batch, channels, *grid).
    """
    axes = positions.shape[1]
    step = torch.arange(channels, device=positions.device) * table["channel"][:, None]
    begin = _by_cell(table["image"][:, None] + step, axes)
    total: Tensor | None = None
    for (index,), weight, _ in corners((table["stride"],), table["size"], positions):
        values = buffers.image[begin + index[:, None]].float() * weight[:, None]
        total = values if total is None else total + values
    assert total is not None
    return total


def read_object(buffers: Buffers, table: Table, positions: Tensor) -> Tensor:
    """Return the share of an object in the cells around positions, interpolated; nothing beyond the image.

    Args:
        buffers: The store in the device's memory.
        table: Table of windows.
        positions: As ``window_positions`` gives them.

    Returns:
        float32 (batch, *grid), 0 to 1.
    """
    axes = positions.shape[1]
    target = _by_cell(table["target"].to(torch.int32), axes)
    begins = [_by_cell(table[name], axes) for name in ("first", "second")]
    total: Tensor | None = None
    for indices, weight, within in corners((table["stride"], table["second_stride"]), table["size"], positions):
        share = covered(buffers.first[begins[0] + indices[0]], target)
        share = share + covered(buffers.second[begins[1] + indices[1]], target)
        values = share * (weight * within / FULL)
        total = values if total is None else total + values
    assert total is not None
    return total


def covered(packed: Tensor, target: Tensor) -> Tensor:
    """Return int32, cover of cells whose value is the target's, 0 elsewhere; see ``pyramid.Entry.packed``."""
    return (packed & FULL) * ((packed >> 8) == target)


def corners(
    strides: Sequence[Tensor], size: Tensor, positions: Tensor
) -> Iterator[tuple[list[Tensor], Tensor, Tensor]]:
    """Yield the cells between whose centres positions lie.

    Args:
        strides: int64 (batch, axes), one or several.
        size: int64 (batch, axes), cells of the level.
        positions: float32 (batch, axes, *grid).

    Yields:
        For each of ``strides`` the index (batch, *grid) from the level's beginning, the corner's weight, and whether
        the corner lies in the image; indices of others are those of the border.
    """
    axes = positions.shape[1]
    lower = (positions - 0.5).floor()
    share = positions - 0.5 - lower
    base = lower.long()
    sides: list[list[tuple[list[Tensor], Tensor, Tensor]]] = []
    for axis in range(axes):
        limit = _by_cell(size[:, axis] - 1, axes)
        both = []
        for weight, place in ((1 - share[:, axis], base[:, axis]), (share[:, axis], base[:, axis] + 1)):
            held = torch.minimum(place.clamp(min=0), limit)
            both.append(([held * _by_cell(s[:, axis], axes) for s in strides], weight, held == place))
        sides.append(both)
    for chosen in product(*sides):
        indices, weight, within = chosen[0]
        for more, factor, also in chosen[1:]:
            indices = [i + m for i, m in zip(indices, more, strict=True)]
            weight, within = weight * factor, within & also
        yield indices, weight, within


def _by_cell(values: Tensor, axes: int) -> Tensor:
    """With an axis of length one for each axis of the grid at the end."""
    return values.reshape(*values.shape, *(1,) * axes)
