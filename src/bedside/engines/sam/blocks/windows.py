"""Cutting a map into square windows and putting them together again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_windows(x: Tensor, side: int) -> Tensor:
    """Cut a map into windows; where its sides are no multiples of ``side`` it is padded with zeros at their ends.

    Args:
        x: (batch, y, x, channels).
        side: Side of a window.

    Returns:
        (batch * windows, side, side, channels), the windows of each image in rows from the top left.
    """
    b, height, width, c = x.shape
    rows, columns = _count(height, side), _count(width, side)
    x = F.pad(x, (0, 0, 0, columns * side - width, 0, rows * side - height))
    x = x.reshape(b, rows, side, columns, side, c).transpose(2, 3)
    return x.reshape(b * rows * columns, side, side, c)


def from_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Put the windows of a map together and cut its padding off.

    Args:
        windows: What ``to_windows`` gives, any number of channels.
        height: Height of the map, without padding.
        width: Width of the map, without padding.

    Returns:
        (batch, height, width, channels).
    """
    side, c = windows.shape[1], windows.shape[3]
    rows, columns = _count(height, side), _count(width, side)
    x = windows.reshape(-1, rows, columns, side, side, c).transpose(2, 3)
    return x.reshape(-1, rows * side, columns * side, c)[:, :height, :width]


def _count(length: int, side: int) -> int:
    # Of positive numbers only: exported graphs round the quotient of a negative one the other way.
    return (length + side - 1) // side
