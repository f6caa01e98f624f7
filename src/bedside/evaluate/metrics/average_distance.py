"""Average symmetric surface distance (ASSD)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.evaluate.metrics import LENGTH, EmptyValues, MetricSpec, Sampling, register_metric
from bedside.evaluate.metrics.borders import border_distances


def average_distance(truth: NDArray[Any], prediction: NDArray[Any], sampling: Sampling) -> float:
    """Average the distances of both borders' voxels to the other border, each voxel counting once.

    Args:
        truth: Binary mask (z, y, x) or (y, x), not empty.
        prediction: Binary mask of the same shape, not empty.
        sampling: Spacing in array order.

    Returns:
        A distance in the unit of the spacing, 0 where both borders are the same.
    """
    return float(np.concatenate(border_distances(truth, prediction, sampling.spacing)).mean())


SPEC = register_metric(
    MetricSpec(
        name="assd",
        direction="lower",
        unit=LENGTH,
        range=(0.0, math.inf),
        empty=EmptyValues(one="diagonal"),
        paper="Heimann et al., IEEE TMI 28 (2009), doi 10.1109/TMI.2009.2013851",
        compute=average_distance,
    )
)
