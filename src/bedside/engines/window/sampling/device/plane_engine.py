"""Training samples of images and slices, made on a device; the counterpart of ``window.sampling.sampler.Sampler``."""

from __future__ import annotations

import torch
from torch import Tensor

from bedside.core.errors import InputError
from bedside.data.store import Store
from bedside.engines.window.encodings import PromptEncoding
from bedside.engines.window.sampling.device.buffers import BufferWriter
from bedside.engines.window.sampling.device.engine import Engine
from bedside.engines.window.sampling.device.insertion import insert_shapes
from bedside.engines.window.sampling.device.plane_appearance import change_planes
from bedside.engines.window.sampling.device.plane_records import CHANNELS, PlaneRecords
from bedside.engines.window.sampling.device.plane_starts import start_planes
from bedside.engines.window.sampling.device.plane_windows import PlaneWindows
from bedside.engines.window.sampling.device.windows import (
    Table,
    inside_image,
    read_image,
    read_object,
    window_positions,
)
from bedside.engines.window.sampling.sampler import MINIMUM_CELLS
from bedside.train.sampling import SamplingConfig


class PlaneEngine(Engine[PlaneRecords]):
    """Makes samples of two axes and three channels.

    Args:
        store: Whose images and maps are copied into the device's memory.
        config: How samples are drawn.
        seed: Seed of everything random.
        device: Where samples are made.
        encoding: How prompts become channels; None for the painted ones.

    Raises:
        InputError: The store has no object to train on, or synthetic shapes are asked for.
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
        if config.synthetic_share:
            raise InputError(
                "sampling.synthetic_share of images",
                expected="0 with sampling.on_device",
                got=config.synthetic_share,
                fix="set sampling.on_device to false, or the share to 0",
            )
        writer = BufferWriter()
        records = PlaneRecords(PlaneWindows(store.items, writer, config), seed)
        super().__init__(records, writer.finish(device), config, encoding)

    def _read(self, table: Table) -> tuple[Tensor, Tensor, Tensor]:
        positions = window_positions(table, self._config.grid)
        truth = read_object(self._buffers, table, positions) > 0.5
        image = read_image(self._buffers, table, positions, CHANNELS)
        inside = inside_image(positions, table["extent"])
        return *insert_shapes(image, truth, inside, table), inside

    def _change(self, image: Tensor, table: Table) -> Tensor:
        return change_planes(image, table)

    def _start(self, table: Table, truth: Tensor) -> tuple[Tensor, Tensor]:
        return start_planes(table, truth)
