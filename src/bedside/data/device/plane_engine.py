"""Training samples of images and slices, made in batches on a device.

The counterpart of ``data.sampling.Sampler``: records are drawn on the CPU by (seed, sample number) alone, see
``plane_records``, and applied to a whole batch on the device. There nothing is read back, so that a GPU never waits.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from bedside.data.device.appearance import normalise
from bedside.data.device.buffers import BufferWriter
from bedside.data.device.insertion import insert_shapes
from bedside.data.device.plane_appearance import change_planes
from bedside.data.device.plane_records import CHANNELS, PlaneRecords
from bedside.data.device.plane_starts import start_planes
from bedside.data.device.plane_windows import PlaneWindows
from bedside.data.device.windows import inside_image, read_image, read_object, window_positions
from bedside.data.sampling import MINIMUM_CELLS, SamplingConfig
from bedside.data.store import Store


class PlaneEngine:
    """Makes samples of records.

    Args:
        store: Whose images and maps are copied into the device's memory.
        config: How samples are drawn.
        seed: Of everything random.
        device: Where samples are made.

    Attributes:
        records: Draws what ``make`` takes.

    Raises:
        InputError: The store has no object to train on.
    """

    def __init__(self, store: Store, config: SamplingConfig, seed: int, device: torch.device) -> None:
        writer = BufferWriter()
        self.records = PlaneRecords(PlaneWindows(store.items, writer, config), seed)
        self._buffers = writer.finish(device)
        self._config = config

    def on_grid(self, grid: int) -> Self:
        """The same engine for another grid."""
        other = copy.copy(self)
        other._config = replace(self._config, grid=grid)
        other.records = self.records.on_grid(grid)
        return other

    @torch.no_grad()
    def make(self, table: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The samples of the records given, on the device that those are on.

        A sample whose object leaves too few cells on the grid counts as lying outside its image: it has no loss.

        Returns:
            image: float32 (batch, 3, grid, grid), normalised; previous: float32 (batch, grid, grid), the mask to start
            from; prompts: float32 (batch, 4, grid, grid), see ``preprocess.paint.CHANNELS``; truth: uint8 (batch,
            grid, grid); inside: bool (batch, grid, grid), False outside the image; key: int64 (batch,), for further
            random numbers.
        """
        positions = window_positions(table, self._config.grid)
        truth = read_object(self._buffers, table, positions) > 0.5
        image = read_image(self._buffers, table, positions, CHANNELS)
        within = inside_image(positions, table["extent"])
        image, truth = insert_shapes(image, truth, within, table)
        enough = (truth.sum(dim=(1, 2)) >= MINIMUM_CELLS)[:, None, None]
        inside = within & enough
        truth = truth & enough
        if self._config.augment:
            image = change_planes(image, table)
        previous, prompts = start_planes(table, truth)
        return {
            "image": normalise(image, inside),
            "previous": previous,
            "prompts": prompts,
            "truth": truth.to(torch.uint8),
            "inside": inside,
            "key": table["key"],
        }
