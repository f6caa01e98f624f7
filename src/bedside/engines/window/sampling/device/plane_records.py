"""Records of samples of images and slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedside.engines.window.sampling.device.insertion import draw_insertions
from bedside.engines.window.sampling.device.plane_appearance import draw_plane_appearance
from bedside.engines.window.sampling.device.plane_starts import draw_plane_starts
from bedside.engines.window.sampling.device.plane_windows import PlaneWindows
from bedside.engines.window.sampling.device.records import APPEARANCE_SALT, START_SALT, Arrays, Records
from bedside.engines.window.sampling.sampler import MINIMUM_CELLS

CHANNELS = 3
"""Of images on the grid."""


class PlaneRecords(Records[PlaneWindows]):
    """Draws records of samples in ``PlaneWindows``."""

    def _details(self, table: Arrays, numbers: NDArray[np.int64]) -> Arrays:
        config = self._windows.config
        shape = (CHANNELS, config.grid, config.grid)
        details = draw_insertions(
            table["inserted"], table["mode"], table["colour"], self._seed, numbers, shape, MINIMUM_CELLS
        )
        if config.augment:
            details |= draw_plane_appearance(table["colour"], self._draws(numbers, APPEARANCE_SALT))
        return details | draw_plane_starts(table["mode"], self._draws(numbers, START_SALT))
