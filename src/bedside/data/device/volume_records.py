"""Records of samples of volumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bedside.data.device.records import APPEARANCE_SALT, START_SALT, Arrays, Records
from bedside.data.device.volume_appearance import draw_volume_appearance
from bedside.data.device.volume_starts import draw_volume_starts
from bedside.data.device.volume_windows import VolumeWindows


class VolumeRecords(Records[VolumeWindows]):
    """Draws records of samples in ``VolumeWindows``."""

    def _details(self, table: Arrays, numbers: NDArray[np.int64]) -> Arrays:
        details: Arrays = {}
        if self._windows.config.augment:
            details |= draw_volume_appearance(self._draws(numbers, APPEARANCE_SALT))
        return details | draw_volume_starts(table["mode"], self._draws(numbers, START_SALT))
