"""Records of samples of volumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedside.engines.window.sampling.device.insertion import draw_insertions
from bedside.engines.window.sampling.device.records import APPEARANCE_SALT, START_SALT, Arrays, Records
from bedside.engines.window.sampling.device.volume_appearance import draw_volume_appearance
from bedside.engines.window.sampling.device.volume_starts import draw_volume_starts
from bedside.engines.window.sampling.device.volume_windows import VolumeWindows
from bedside.engines.window.sampling.volume_augmentation import AXES
from bedside.engines.window.sampling.volume_sampler import MINIMUM_CELLS


class VolumeRecords(Records[VolumeWindows]):
    """Draws records of samples in ``VolumeWindows``."""

    def _details(self, table: Arrays, numbers: NDArray[np.int64]) -> Arrays:
        config = self._windows.config
        shape, colour = (1, *(config.grid,) * AXES), np.zeros(len(numbers), dtype=np.bool_)
        details = draw_insertions(table["inserted"], table["mode"], colour, self._seed, numbers, shape, MINIMUM_CELLS)
        if config.augment:
            details |= draw_volume_appearance(self._draws(numbers, APPEARANCE_SALT), config.anisotropy)
        return details | draw_volume_starts(table["mode"], self._draws(numbers, START_SALT))
