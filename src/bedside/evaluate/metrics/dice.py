"""Dice similarity coefficient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.evaluate.metrics import EmptyValues, MetricSpec, Sampling, register_metric


def dice(truth: NDArray[Any], prediction: NDArray[Any], sampling: Sampling | None = None) -> float:  # noqa: ARG001
    """Divide twice the common voxels by the sum of both masks.

    Args:
        truth: Binary mask, any shape.
        prediction: Binary mask of the same shape; at least one of the two has a voxel.
        sampling: Not needed; every metric takes it.

    Returns:
        From 0 to 1.
    """
    total = np.count_nonzero(truth) + np.count_nonzero(prediction)
    return 2.0 * np.count_nonzero(np.logical_and(truth, prediction)) / total


SPEC = register_metric(
    MetricSpec(
        name="dsc",
        direction="higher",
        unit="",
        range=(0.0, 1.0),
        empty=EmptyValues(),
        paper="Dice, Ecology 26 (1945), doi 10.2307/1932409",
        compute=dice,
    )
)
