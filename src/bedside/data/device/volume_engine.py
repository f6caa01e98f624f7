"""Training samples of volumes, made in batches on a device.

The counterpart of ``data.volume_sampling.VolumeSampler``: records are drawn on the CPU by (seed, sample number) alone,
see ``volume_records``, and applied to a whole batch on the device. There nothing is read back, so that a GPU never
waits.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from bedside.core.errors import InputError
from bedside.data.device.appearance import normalise
from bedside.data.device.buffers import BufferWriter
from bedside.data.device.volume_appearance import change_volumes
from bedside.data.device.volume_given import INSIDE, TRUTH
from bedside.data.device.volume_records import VolumeRecords
from bedside.data.device.volume_starts import start_volumes
from bedside.data.device.volume_windows import VolumeWindows
from bedside.data.device.windows import inside_image, read_image, read_object, window_positions
from bedside.data.sampling import SamplingConfig
from bedside.data.store import Store
from bedside.data.volume_sampling import MINIMUM_CELLS


class VolumeEngine:
    """Makes samples of records.

    Args:
        store: Whose volumes and their maps are copied into the device's memory.
        config: How samples are drawn.
        seed: Of everything random.
        device: Where samples are made.

    Attributes:
        records: Draws what ``make`` takes.

    Raises:
        InputError: The store has no volume to train on, or inserted shapes are asked for.
    """

    def __init__(self, store: Store, config: SamplingConfig, seed: int, device: torch.device) -> None:
        if config.inserted_share:
            raise InputError(
                "sampling.inserted_share",
                expected="0 for models of volumes with sampling.on_device",
                got=config.inserted_share,
            )
        writer = BufferWriter()
        self.records = VolumeRecords(VolumeWindows(store.items, writer, config), seed)
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

        A sample whose object leaves too few cells on the grid counts as lying outside its volume: it has no loss.

        Returns:
            image: float32 (batch, 1, grid, grid, grid), normalised; previous: float32 (batch, grid, grid, grid), the
            mask to start from; prompts: float32 (batch, 4, grid, grid, grid), see ``preprocess.paint.CHANNELS``;
            truth: uint8 (batch, grid, grid, grid); inside: bool (batch, grid, grid, grid), False outside the volume;
            key: int64 (batch,), for further random numbers.
        """
        image, truth, inside = self._windows(table)
        enough = (truth.sum(dim=(1, 2, 3)) >= MINIMUM_CELLS)[:, None, None, None]
        truth, inside = truth & enough, inside & enough
        if self._config.augment:
            image = change_volumes(image, table)
        previous, prompts = start_volumes(table, truth)
        return {
            "image": normalise(image, inside),
            "previous": previous,
            "prompts": prompts,
            "truth": truth.to(torch.uint8),
            "inside": inside,
            "key": table["key"],
        }

    def _windows(self, table: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Image, and bool truth and inside."""
        positions = window_positions(table, self._config.grid)
        image = read_image(self._buffers, table, positions, 1)
        truth = read_object(self._buffers, table, positions) > 0.5
        inside = inside_image(positions, table["extent"])
        if len(rows := table["given"]):
            image.index_copy_(0, rows, table["given_image"][:, None].float())
            truth.index_copy_(0, rows, (table["given_cells"] & TRUTH) > 0)
            inside.index_copy_(0, rows, (table["given_cells"] & INSIDE) > 0)
        return image, truth, inside
