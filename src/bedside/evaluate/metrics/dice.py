"""Dice similarity coefficient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.evaluate.metrics import METRICS, Sampling, check_masks


@METRICS.register("dsc")
def dice(truth: NDArray[Any], prediction: NDArray[Any], sampling: Sampling | None = None) -> float:  # noqa: ARG001
    """Twice the common voxels over the sum of both masks, from 0 to 1.

    Two empty masks give NaN, because there was nothing to find; one empty mask gives 0.

    Args:
        truth: Binary mask, any shape.
        prediction: Binary mask of the same shape.
        sampling: Not needed; every metric takes it.

    Raises:
        InputError: The shapes differ.
    """
    check_masks(truth, prediction)
    total = np.count_nonzero(truth) + np.count_nonzero(prediction)
    if total == 0:
        return math.nan
    return 2.0 * np.count_nonzero(np.logical_and(truth, prediction)) / total
