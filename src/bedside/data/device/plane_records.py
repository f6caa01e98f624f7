"""Records of samples of images and slices: all that is random about them, as a few numbers a sample.

They are drawn on the CPU, by the loader's workers, and ``plane_engine`` makes samples of them on the device.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bedside.data.device.hashing import Draws
from bedside.data.device.insertion import draw_insertions
from bedside.data.device.plane_appearance import draw_plane_appearance
from bedside.data.device.plane_starts import draw_plane_starts
from bedside.data.device.plane_windows import Arrays, PlaneWindows

KEY_SALT, APPEARANCE_SALT, START_SALT = 2, 3, 4
"""Of streams of random numbers."""
CHANNELS = 3
"""Of images on the grid."""


class PlaneRecords:
    """Draws records by the numbers of samples; holds nothing of the device.

    Args:
        windows: Draws windows.
        seed: Of everything random.
    """

    def __init__(self, windows: PlaneWindows, seed: int) -> None:
        self._windows, self._seed = windows, seed

    def on_grid(self, grid: int) -> Self:
        """The same records for another grid."""
        other = copy.copy(self)
        other._windows = self._windows.on_grid(grid)
        return other

    def draw(self, numbers: NDArray[np.int64]) -> Arrays:
        """The records of the samples with ``numbers``, which seed and number alone decide.

        Returns:
            By name arrays with one row a sample or one for each sample that something is done to.

        Raises:
            InputError: The store has no object large enough.
        """
        table = self._windows.draw(self._seed, numbers)
        table["key"] = (Draws(self._seed, numbers, KEY_SALT).bits()[:, 0] >> np.uint64(1)).astype(np.int64)
        grid = self._windows.config.grid
        shape = (CHANNELS, grid, grid)
        table |= draw_insertions(table["inserted"], table["mode"], table["colour"], self._seed, numbers, shape)
        if self._windows.config.augment:
            table |= draw_plane_appearance(table["colour"], Draws(self._seed, numbers, APPEARANCE_SALT))
        return table | draw_plane_starts(table["mode"], Draws(self._seed, numbers, START_SALT))
