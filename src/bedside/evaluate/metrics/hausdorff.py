"""Hausdorff distance at the 95th percentile (HD95)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.evaluate.metrics import LENGTH, EmptyValues, MetricSpec, Sampling, register_metric
from bedside.evaluate.metrics.borders import border_distances

PERCENTILE = 95


def hausdorff_95(truth: NDArray[Any], prediction: NDArray[Any], sampling: Sampling) -> float:
    """Take the larger of both borders' 95th percentiles of distances to the other border.

    Args:
        truth: Binary mask (z, y, x) or (y, x), not empty.
        prediction: Binary mask of the same shape, not empty.
        sampling: Spacing in array order.

    Returns:
        A distance in the unit of the spacing, 0 where both borders are the same.
    """
    both = border_distances(truth, prediction, sampling.spacing)
    return max(float(np.percentile(distances, PERCENTILE)) for distances in both)


SPEC = register_metric(
    MetricSpec(
        name="hd95",
        direction="lower",
        unit=LENGTH,
        range=(0.0, math.inf),
        empty=EmptyValues(one="diagonal"),
        paper="Huttenlocher et al., IEEE TPAMI 15 (1993), doi 10.1109/34.232073; the percentile as in BraTS",
        compute=hausdorff_95,
    )
)
