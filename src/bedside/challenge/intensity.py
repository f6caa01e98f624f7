"""Grey values from 0 to 255 as the challenges make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5


@dataclass(frozen=True)
class IntensityWindow:
    """A window of CT values.

    Attributes:
        level: Its middle, HU.
        width: Its breadth, HU, above 0.
    """

    level: float
    width: float

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise InputError("window width", expected="more than 0", got=self.width)


WINDOWS = {
    "abdomen": IntensityWindow(40, 400),
    "lung": IntensityWindow(-600, 1500),
    "brain": IntensityWindow(40, 80),
    "mediastinum": IntensityWindow(50, 350),
}
"""Windows of CT by what they show; the official default is the abdomen's."""


def window_to_bytes(array: NDArray[Any], window: IntensityWindow) -> NDArray[np.uint8]:
    """Clip to the window, then stretch what is there to 0..255; a constant image becomes 0."""
    half = window.width / 2
    return stretch(np.clip(array.astype(np.float32), window.level - half, window.level + half))


def percentiles_to_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Clip to the 0.5 and 99.5 percentiles of the samples above 0, stretch to 0..255; what was 0 stays 0."""
    positive = array[array > 0]
    if positive.size == 0:
        return np.zeros(array.shape, dtype=np.uint8)
    low, high = np.percentile(positive, (LOW_PERCENTILE, HIGH_PERCENTILE))
    result = stretch(np.clip(array.astype(np.float32), low, high))
    result[array == 0] = 0
    return result


def picture_to_bytes(array: NDArray[Any], *, cut_off: bool = False) -> NDArray[np.uint8]:
    """Return a 2D image as (y, x, 3): colours as they are, grey repeated, and stretched only where bytes cannot hold
    it.

    Args:
        array: (y, x) or (y, x, 3).
        cut_off: Clip grey images to percentiles first.
    """
    if array.ndim == 2 and cut_off:
        array = percentiles_to_bytes(array)
    elif array.dtype == np.bool_ or array.min() < 0 or array.max() > 255:
        array = stretch(array.astype(np.float32))
    grey = array.astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey


def stretch(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the range of ``array`` to 0..255, fractions cut off as the official code does; a constant becomes 0."""
    low, high = float(array.min()), float(array.max())
    if high <= low:
        return np.zeros(array.shape, dtype=np.uint8)
    result: NDArray[np.uint8] = ((array - low) / (high - low) * 255.0).astype(np.uint8)
    return result
