"""The 95th percentile of the distances between two surfaces (HD95)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.evaluate import metrics
from bedside.evaluate.metrics import Sampling

NAME = "example-hd95"


def hd95(truth: NDArray[Any], prediction: NDArray[Any], sampling: Sampling) -> float:
    """Distance below which 95 % of the distances from either surface to the other lie.

    Args:
        truth: Binary mask.
        prediction: Binary mask of the same shape.
        sampling: Spacing of the samples.

    Returns:
        In the unit of the spacing; NaN where one of the masks is empty.
    """
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (truth != 0, prediction != 0)]
    if not all(surface.any() for surface in surfaces):
        return math.nan
    distances = [ndimage.distance_transform_edt(~surface, sampling=sampling.spacing) for surface in surfaces]
    found = [distances[1 - side][surfaces[side]] for side in (0, 1)]
    return max(float(np.percentile(values, 95)) for values in found)


METRIC: Any = hd95
if hasattr(metrics, "MetricSpec"):
    METRIC = metrics.MetricSpec(
        name=NAME,
        direction="lower",
        unit="length",
        range=(0.0, math.inf),
        empty=metrics.EmptyValues(one="diagonal"),
        paper="Huttenlocher et al., IEEE TPAMI 15 (1993)",
        compute=hd95,
    )
