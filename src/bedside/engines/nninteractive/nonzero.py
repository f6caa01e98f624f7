"""Intensity as nnInteractive takes it: mean 0 and deviation 1 over the box of the samples that are not zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.region import mask_region


def nonzero_statistics(samples: NDArray[Any]) -> tuple[float, float]:
    """Return mean and standard deviation over the bounding box of all samples that are not zero.

    Summed slice by slice, so that a large scan is never copied as floating-point numbers.

    Args:
        samples: (z, y, x), any range.

    Raises:
        InputError: All samples are zero.
    """
    region = mask_region(samples)
    if region.is_empty:
        raise InputError("image", expected="samples other than zero", got="zero everywhere")
    box = samples[region.slices]
    mean = float(sum(np.sum(part, dtype=np.float64) for part in box) / box.size)
    squares = float(sum(np.sum(np.square(part - mean), dtype=np.float64) for part in box))
    return mean, float(np.sqrt(squares / box.size))


def normalise_nonzero(samples: NDArray[Any], statistics: tuple[float, float] | None = None) -> NDArray[np.float32]:
    """Shift and scale samples to mean 0 and deviation 1, with neither clipping nor cropping.

    Args:
        samples: (z, y, x), the image or a block of it.
        statistics: Mean and deviation of the whole image; those of ``samples`` where left out.

    Returns:
        float32 of the same shape. An image of one value becomes 0 there, where its deviation says nothing.

    Raises:
        InputError: All samples are zero and no statistics are given.
    """
    mean, deviation = statistics or nonzero_statistics(samples)
    # The mean is taken off in double precision: the samples of a CT scanner in counts differ little from it.
    normalised: NDArray[np.float32] = ((samples - np.float64(mean)) / (deviation or 1.0)).astype(np.float32)
    return normalised
