"""Training samples of volumes, made on a device; the counterpart of ``volume_sampler.VolumeSampler``."""

from __future__ import annotations

import torch
from torch import Tensor

from bedside.data.store import Store
from bedside.engines.window.encodings import PromptEncoding
from bedside.engines.window.sampling.device.buffers import BufferWriter
from bedside.engines.window.sampling.device.engine import Engine
from bedside.engines.window.sampling.device.insertion import insert_shapes
from bedside.engines.window.sampling.device.volume_appearance import change_volumes
from bedside.engines.window.sampling.device.volume_given import INSIDE, TRUTH
from bedside.engines.window.sampling.device.volume_records import VolumeRecords
from bedside.engines.window.sampling.device.volume_starts import start_volumes
from bedside.engines.window.sampling.device.volume_windows import VolumeWindows
from bedside.engines.window.sampling.device.windows import (
    Table,
    inside_image,
    read_image,
    read_object,
    window_positions,
)
from bedside.engines.window.sampling.volume_sampler import MINIMUM_CELLS
from bedside.train.sampling import SamplingConfig


class VolumeEngine(Engine[VolumeRecords]):
    """Makes samples of three axes and one channel.

    Args:
        store: Whose volumes and their maps are copied into the device's memory.
        config: How samples are drawn.
        seed: Seed of everything random.
        device: Where samples are made.
        encoding: How prompts become channels; None for the painted ones.

    Raises:
        InputError: The store has no volume to train on.
    """

    minimum_cells = MINIMUM_CELLS

    def __init__(
        self,
        store: Store,
        config: SamplingConfig,
        seed: int,
        device: torch.device,
        encoding: PromptEncoding | None = None,
    ) -> None:
        writer = BufferWriter()
        records = VolumeRecords(VolumeWindows(store.items, writer, config), seed)
        super().__init__(records, writer.finish(device), config, encoding)

    def _read(self, table: Table) -> tuple[Tensor, Tensor, Tensor]:
        positions = window_positions(table, self._config.grid)
        image = read_image(self._buffers, table, positions, 1)
        truth = read_object(self._buffers, table, positions) > 0.5
        inside = inside_image(positions, table["extent"])
        if len(rows := table["given"]):
            image.index_copy_(0, rows, table["given_image"][:, None].float())
            truth.index_copy_(0, rows, (table["given_cells"] & TRUTH) > 0)
            inside.index_copy_(0, rows, (table["given_cells"] & INSIDE) > 0)
        return *insert_shapes(image, truth, inside, table), inside

    def _change(self, image: Tensor, table: Table) -> Tensor:
        return change_volumes(image, table)

    def _start(self, table: Table, truth: Tensor) -> tuple[Tensor, Tensor]:
        return start_volumes(table, truth)
