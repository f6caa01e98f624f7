"""Samples of any range as the bytes that the systems were trained on.

The challenge's files hold bytes, and bytes are taken as they are. Other images get the challenge's own steps: CT is
windowed for the abdomen, and everything else is cut at percentiles of what is above zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.image import Image
from bedside.core.modality import modality_in
from bedside.core.no_data import absent

CT_LEVEL, CT_WIDTH = 40.0, 400.0
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
SAMPLES = 4_000_000
"""Of larger volumes only so many samples are looked at to find percentiles."""


@dataclass(frozen=True)
class ByteScale:
    """A linear map of samples to 0 to 255, the same for all slices of a volume.

    Attributes:
        low: Becomes 0, and so does what is below.
        high: Becomes 255, and so does what is above.
        keep_zero: Whether samples of 0 stay 0, because they are no measurement.
    """

    low: float
    high: float
    keep_zero: bool = False

    def __call__(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """Return samples of any shape as bytes; fractions are cut off, as the official code does."""
        if self.high <= self.low:
            return np.zeros(samples.shape, dtype=np.uint8)
        known = np.nan_to_num(samples.astype(np.float32), nan=self.low, posinf=self.high, neginf=self.low)
        clipped = np.clip(known, self.low, self.high)
        result: NDArray[np.uint8] = ((clipped - self.low) / (self.high - self.low) * 255.0).astype(np.uint8)
        if self.keep_zero:
            result[samples == 0] = 0
        return result


def byte_scale(image: Image) -> ByteScale | None:
    """Return how an image's samples become bytes; None where they are bytes already."""
    array = image.array
    if array.dtype == np.uint8:
        return None
    if array.dtype.kind == "b":
        return ByteScale(0.0, 1.0)
    samples = array.reshape(-1)[:: max(1, array.size // SAMPLES)]
    missing = absent(samples, image.no_data)
    samples = samples[~missing] if missing is not None else samples
    return _scale(samples, modality_in(image.modality) == "CT") if samples.size else ByteScale(0.0, 0.0)


def _scale(samples: NDArray[Any], is_ct: bool) -> ByteScale:
    lowest, highest = float(samples.min()), float(samples.max())
    if is_ct:
        low, high = CT_LEVEL - CT_WIDTH / 2, CT_LEVEL + CT_WIDTH / 2
        return ByteScale(float(np.clip(lowest, low, high)), float(np.clip(highest, low, high)))
    if samples.dtype.kind in "ui" and lowest >= 0 and 1 < highest <= 255:
        return ByteScale(0.0, 255.0)
    positive = samples[samples > 0]
    if positive.size == 0:
        return ByteScale(lowest, highest)
    low, high = (float(v) for v in np.percentile(positive, (LOW_PERCENTILE, HIGH_PERCENTILE)))
    # The lowest percentile of what is above zero lies above zero; what is below is clipped to it.
    return ByteScale(max(low, lowest), min(high, highest), keep_zero=True)
