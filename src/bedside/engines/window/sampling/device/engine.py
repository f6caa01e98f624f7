"""Training samples made in batches on a device.

Records are drawn on the CPU by (seed, sample number) alone, see ``records.py``, and applied to a whole batch on the
device. There nothing is read back, so that a GPU never waits.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor

from bedside.engines.window.encodings import DEFAULT, ENCODINGS, PromptEncoding
from bedside.engines.window.sampling.device.appearance import normalise
from bedside.engines.window.sampling.device.buffers import Buffers
from bedside.engines.window.sampling.device.records import Records
from bedside.engines.window.sampling.device.windows import Table
from bedside.train.sampling import SamplingConfig

AnyRecords = TypeVar("AnyRecords", bound=Records[Any])


class Engine(ABC, Generic[AnyRecords]):
    """Makes samples of records.

    Args:
        records: Draws what ``make`` takes.
        buffers: The store in the device's memory.
        config: How samples are drawn.
        encoding: How prompts become channels; None for the painted ones.

    Attributes:
        records: As given.
    """

    minimum_cells: ClassVar[int]
    """Cells that an object leaves on the grid at least."""

    def __init__(
        self, records: AnyRecords, buffers: Buffers, config: SamplingConfig, encoding: PromptEncoding | None = None
    ) -> None:
        self.records, self._buffers, self._config = records, buffers, config
        self._encoding = encoding or ENCODINGS.get(DEFAULT)

    def on_grid(self, grid: int) -> Self:
        """Return the same engine for another grid."""
        other = copy.copy(self)
        other._config = replace(self._config, grid=grid)
        other.records = self.records.on_grid(grid)
        return other

    @torch.no_grad()
    def make(self, table: Table) -> dict[str, Tensor]:
        """Return the samples of the records given, on the device that those are on.

        A sample whose object leaves too few cells on the grid counts as lying outside its image: it has no loss.

        Returns:
            image: float32 (batch, channels, *grid), normalised; previous: float32 (batch, *grid), the mask to start
            from; prompts: float32 (batch, channels, *grid), see ``encodings``; truth: uint8 (batch, *grid);
            inside: bool (batch, *grid), False outside the image; key: int64 (batch,), for further random numbers.
        """
        image, truth, inside = self._read(table)
        axes = tuple(range(1, truth.ndim))
        enough = truth.sum(dim=axes, keepdim=True) >= self.minimum_cells
        truth, inside = truth & enough, inside & enough
        if self._config.augment:
            image = self._change(image, table)
        previous, prompts = self._start(table, truth)
        return {
            "image": normalise(image, inside),
            "previous": previous,
            "prompts": self._encoding.encode_coverage(prompts),
            "truth": truth.to(torch.uint8),
            "inside": inside,
            "key": table["key"],
        }

    @abstractmethod
    def _read(self, table: Table) -> tuple[Tensor, Tensor, Tensor]:
        """Return image, and bool truth and inside."""

    @abstractmethod
    def _change(self, image: Tensor, table: Table) -> Tensor:
        """Return the image with another appearance."""

    @abstractmethod
    def _start(self, table: Table, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Return the masks to start from, and what prompts cover: (batch, 4, *grid), see ``imaging.paint.CHANNELS``."""
