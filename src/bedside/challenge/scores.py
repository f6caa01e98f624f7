"""DSC and NSD of label maps by the challenges' rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.geometry import Geometry
from bedside.core.region import Region
from bedside.evaluate.metrics import DEFAULT_TOLERANCE, Sampling
from bedside.evaluate.metrics.dice import dice
from bedside.evaluate.metrics.surface import surface_dice

GATE = 0.2
"""NSD is computed only where the case's DSC is above this, and is 0 elsewhere."""


class CaseScore(NamedTuple):
    """Means over the labels of a case."""

    dsc: float
    nsd: float


class LabelCrops:
    """The labels of a map by their extent, so that a label costs as much as it is large.

    Args:
        labels: uint8 or uint16, any shape.
    """

    def __init__(self, labels: NDArray[Any]) -> None:
        self.labels = labels
        self._places: Sequence[tuple[slice, ...] | None] = ndimage.find_objects(labels)

    def region(self, label: int) -> Region:
        """The smallest region that holds ``label``; empty where it does not occur."""
        place = self._places[label - 1] if label <= len(self._places) else None
        if place is None:
            return Region.empty(self.labels.ndim)
        return Region(tuple(s.start for s in place), tuple(s.stop for s in place))

    def mask(self, label: int, region: Region) -> NDArray[np.bool_]:
        """Where in ``region`` the label is."""
        result: NDArray[np.bool_] = self.labels[region.slices] == label
        return result


def challenge_sampling(
    geometry: Geometry, tolerance: float = DEFAULT_TOLERANCE, *, official_spacing_order: bool = False
) -> Sampling:
    """What the challenges take lengths for: mm in volumes, pixels in 2D images whatever their spacing.

    Args:
        geometry: Of the labels.
        tolerance: Of the surfaces.
        official_spacing_order: Apply spacing as the files store it, (x, y, z), to arrays that are (z, y, x), as the
            official code does; figures then agree with published ones and are wrong where voxels are no cubes.
    """
    if geometry.ndim == 2:
        return Sampling((1.0, 1.0, 1.0), tolerance, "px")
    spacing = geometry.spacing if official_spacing_order else geometry.array_spacing
    return Sampling(spacing, tolerance, "mm")


def score_case(truth: LabelCrops, answer: LabelCrops, labels: Iterable[int], sampling: Sampling) -> CaseScore:
    """Mean DSC and NSD over ``labels``; a label that neither map has does not count.

    2D images are measured as volumes of one slice, as the official code does, so that their surface includes what lies
    above and below.

    Args:
        truth: Ground truth.
        answer: Of the same shape.
        labels: Values to compare; at least one occurs in either map.
        sampling: From ``challenge_sampling``.
    """
    pairs = [_pair(truth, answer, label) for label in labels]
    dsc = _mean([dice(a, b, sampling) for a, b in pairs])
    if not dsc > GATE:
        return CaseScore(dsc, 0.0)
    return CaseScore(dsc, _mean([surface_dice(_solid(a), _solid(b), sampling) for a, b in pairs]))


def _pair(truth: LabelCrops, answer: LabelCrops, label: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    region = truth.region(label).union(answer.region(label))
    return truth.mask(label, region), answer.mask(label, region)


def _solid(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask[..., None] if mask.ndim == 2 else mask


def _mean(values: Sequence[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return math.fsum(known) / len(known) if known else 0.0
