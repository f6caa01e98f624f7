"""Records of samples: all that is random about them, as a few numbers a sample.

They are drawn on the CPU, by the loader's workers, and an engine (``engine.py``) makes samples of them on the device.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from bedside.train.hashing import Draws
from bedside.train.sampling import SamplingConfig

Arrays = dict[str, NDArray[Any]]
KEY_SALT, APPEARANCE_SALT, START_SALT = 2, 3, 4
"""Of streams of random numbers."""


class Windows(Protocol):
    """What draws the windows that samples lie in."""

    config: SamplingConfig

    def draw(self, seed: int, numbers: NDArray[np.int64]) -> Arrays:
        """Return the windows of samples with ``numbers``."""

    def on_grid(self, grid: int) -> Self:
        """Return the same windows for another grid."""


AnyWindows = TypeVar("AnyWindows", bound=Windows)


class Records(ABC, Generic[AnyWindows]):
    """Draws records by the numbers of samples; holds nothing of the device.

    Args:
        windows: Draws windows.
        seed: Seed of everything random.
    """

    def __init__(self, windows: AnyWindows, seed: int) -> None:
        self._windows, self._seed = windows, seed

    def on_grid(self, grid: int) -> Self:
        """Return the same records for another grid."""
        other = copy.copy(self)
        other._windows = self._windows.on_grid(grid)
        return other

    def draw(self, numbers: NDArray[np.int64]) -> Arrays:
        """Return the records of the samples with ``numbers``, which seed and number alone decide.

        Returns:
            By name arrays with one row a sample or one for each sample that something is done to.

        Raises:
            InputError: The store has no object large enough.
        """
        table = self._windows.draw(self._seed, numbers)
        table["key"] = (self._draws(numbers, KEY_SALT).bits()[:, 0] >> np.uint64(1)).astype(np.int64)
        return table | self._details(table, numbers)

    @abstractmethod
    def _details(self, table: Arrays, numbers: NDArray[np.int64]) -> Arrays:
        """Return what is drawn of the samples beside their windows: appearance and first prompts."""

    def _draws(self, numbers: NDArray[np.int64], salt: int) -> Draws:
        return Draws(self._seed, numbers, salt)
