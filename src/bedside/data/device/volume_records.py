"""Records of samples of volumes: all that is random about them, as a few numbers a sample.

They are drawn on the CPU, by the loader's workers, and ``volume_engine`` makes samples of them on the device.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bedside.data.device.hashing import Draws
from bedside.data.device.plane_records import APPEARANCE_SALT, KEY_SALT, START_SALT
from bedside.data.device.plane_windows import Arrays
from bedside.data.device.volume_appearance import draw_volume_appearance
from bedside.data.device.volume_starts import draw_volume_starts
from bedside.data.device.volume_windows import VolumeWindows


class VolumeRecords:
    """Draws records by the numbers of samples; holds nothing of the device.

    Args:
        windows: Draws windows.
        seed: Of everything random.
    """

    def __init__(self, windows: VolumeWindows, seed: int) -> None:
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
        if self._windows.config.augment:
            table |= draw_volume_appearance(Draws(self._seed, numbers, APPEARANCE_SALT))
        return table | draw_volume_starts(table["mode"], Draws(self._seed, numbers, START_SALT))
