"""Scores of label maps by the challenges' rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.geometry import Geometry
from bedside.core.region import Region
from bedside.evaluate.metrics import DEFAULT_METRICS, DEFAULT_TOLERANCE, METRICS, Sampling, image_diagonal

GATE = 0.2
"""NSD is computed only where the case's DSC is above this, and is 0 elsewhere."""
GATED, BY = "nsd", "dsc"


class LabelCrops:
    """The labels of a map by their extent, so that a label costs as much as it is large.

    Args:
        labels: uint8 or uint16, any shape.
    """

    def __init__(self, labels: NDArray[Any]) -> None:
        self.labels = labels
        self._extents: Sequence[tuple[slice, ...] | None] = ndimage.find_objects(labels)

    def region(self, label: int) -> Region:
        """Return the smallest region that holds ``label``; empty where it does not occur."""
        extent = self._extents[label - 1] if label <= len(self._extents) else None
        if extent is None:
            return Region.empty(self.labels.ndim)
        return Region(tuple(s.start for s in extent), tuple(s.stop for s in extent))

    def mask(self, label: int, region: Region) -> NDArray[np.bool_]:
        """Tell where in ``region`` the label is."""
        result: NDArray[np.bool_] = self.labels[region.slices] == label
        return result


def challenge_sampling(
    geometry: Geometry, tolerance: float = DEFAULT_TOLERANCE, *, official_spacing_order: bool = False
) -> Sampling:
    """Take lengths as the challenges do: mm in volumes, pixels in 2D images whatever their spacing.

    Args:
        geometry: Geometry of the labels.
        tolerance: Tolerance of the surfaces.
        official_spacing_order: Apply spacing as the files store it, (x, y, z), to arrays that are (z, y, x), as the
            official code does; figures then agree with published ones and are wrong where voxels are no cubes.
    """
    if geometry.ndim == 2:
        return Sampling((1.0, 1.0, 1.0), tolerance, "px", image_diagonal(geometry.shape, (1.0, 1.0)))
    spacing = geometry.spacing if official_spacing_order else geometry.array_spacing
    return Sampling(spacing, tolerance, "mm", image_diagonal(geometry.shape, spacing))


def score_case(
    truth: LabelCrops,
    prediction: LabelCrops,
    labels: Iterable[int],
    sampling: Sampling,
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> Mapping[str, float]:
    """Take the mean of each metric over ``labels``; a label that neither map has does not count.

    2D images are measured as volumes of one slice, as the official code does, so that their surface includes what lies
    above and below. By the official rule NSD is 0 where DSC is not above ``GATE``.

    Args:
        truth: Ground truth.
        prediction: Prediction of the same shape.
        labels: Values to compare; at least one occurs in either map.
        sampling: From ``challenge_sampling``.
        metrics: Names in the registry.

    Returns:
        The metrics in their order; 0 where no label has a value.
    """
    pairs = [_pair(truth, prediction, label) for label in labels]
    found: dict[str, float] = {}

    def mean(metric: str) -> float:
        if metric not in found:
            gated = metric == GATED and not mean(BY) > GATE
            found[metric] = 0.0 if gated else _mean([METRICS.get(metric).score(a, b, sampling) for a, b in pairs])
        return found[metric]

    return {metric: mean(metric) for metric in metrics}


def _pair(truth: LabelCrops, prediction: LabelCrops, label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    region = truth.region(label).union(prediction.region(label))
    return _solid(truth.mask(label, region)), _solid(prediction.mask(label, region))


def _solid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask[..., None] if mask.ndim == 2 else mask


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return math.fsum(known) / len(known) if known else 0.0
