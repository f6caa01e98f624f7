"""Samples of any range to the range that the network was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
MINIMUM_DEVIATION = 1e-3
"""Share of the clipped range below which a window counts as flat."""


def normalise_window(
    samples: NDArray[Any], inside: NDArray[np.bool_] | None = None, absent: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Clip a window to its percentiles, then shift and scale it to mean 0 and standard deviation 1.

    The statistics are those of the window and not of the image: a structure must be told from what is next to it,
    whatever the rest of the image holds (the air in a CT, the black border of an ultrasound).

    Args:
        samples: (channels, *grid), any range; colour channels share one mean and deviation.
        inside: bool of the grid, True where the window lies within the image; cells outside become 0, the mean.
        absent: bool of the grid, True where samples are no measurement: they are left out of the statistics and shown
            as the darkest there is, or as the brightest where they are brighter than all else.

    Returns:
        float32 of the same shape, within about -10 to 10.
    """
    values = samples.astype(np.float32, copy=False)
    known = values if inside is None or inside.all() else values[:, inside]
    if known.size == 0:
        return np.zeros_like(values)
    if absent is not None:
        measured = values[:, ~absent if inside is None else inside & ~absent]
        known = measured if measured.size else known
    # Every fourth sample is enough for a percentile, and sorting is what costs here.
    subset = known.reshape(-1)[:: 4 if known.size > 4096 else 1]
    low, high = np.percentile(subset, (LOW_PERCENTILE, HIGH_PERCENTILE))
    if high <= low:
        # All but a speck is of one value, and the speck is what there is to see.
        low, high = known.min(), known.max()
    clipped = np.clip(values, low, high)
    if absent is not None:
        clipped[:, absent] = np.where(values[:, absent] > high, high, low)
    reference = np.clip(known, low, high)
    deviation = float(reference.std())
    result = (clipped - reference.mean()) / max(deviation, MINIMUM_DEVIATION * float(high - low), 1e-6)
    if inside is not None:
        result[:, ~inside] = 0.0
    normalised: NDArray[np.float32] = result.astype(np.float32, copy=False)
    return normalised
