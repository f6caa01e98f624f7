"""Tables of drawn samples in one piece of memory: one tensor goes from worker to trainer and on to the device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[Any]]
"""A table as it is drawn: arrays by name."""
Table = Mapping[str, Tensor]
"""A table on the device of the training."""
ALIGNMENT = 8
"""Bytes; no number is longer."""


@dataclass(frozen=True)
class Field:
    """Where an array lies: its type, shape, and first byte."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int


@dataclass(frozen=True, eq=False)
class PackedTable:
    """A table of arrays, on any device.

    Attributes:
        data: uint8 (bytes,).
        fields: By name.
    """

    data: Tensor
    fields: Mapping[str, Field]

    @classmethod
    def pack(cls, table: Mapping[str, NDArray[Any]]) -> PackedTable:
        """Return a copy of arrays in one piece."""
        fields: dict[str, Field] = {}
        end = 0
        for name, values in table.items():
            fields[name] = Field(torch.from_numpy(np.empty(0, dtype=values.dtype)).dtype, values.shape, end)
            end += -(-values.nbytes // ALIGNMENT) * ALIGNMENT
        packed = cls(torch.zeros(end, dtype=torch.uint8), fields)
        for name, place in packed.unpack().items():
            place.numpy()[...] = table[name]
        return packed

    def unpack(self) -> dict[str, Tensor]:
        """Return the arrays, as views."""
        return {name: self._view(field) for name, field in self.fields.items()}

    def to(self, device: torch.device, non_blocking: bool = False) -> PackedTable:
        """Return the table on another device, as ``Tensor.to``."""
        return replace(self, data=self.data.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PackedTable:
        """Return the table in memory that a GPU reads by itself; called by the loader."""
        return replace(self, data=self.data.pin_memory())

    def _view(self, field: Field) -> Tensor:
        count = math.prod(field.shape) * field.dtype.itemsize
        return self.data[field.begin : field.begin + count].view(field.dtype).view(field.shape)
