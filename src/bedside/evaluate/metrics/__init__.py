"""How well a mask agrees with the truth: a registry of metrics, each a function of two binary masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.registry import Registry

DEFAULT_TOLERANCE = 2.0
"""Distance in mm, or in pixels, up to which two surfaces agree: that of the 2024 and 2025 challenges."""
FINEST_MILLIMETRES = 0.05
"""Images sampled more finely show cells, whose size a tolerance in mm would exceed: they are measured in pixels."""


ToleranceUnit = Literal["auto", "px"]
"""Whether lengths are millimetres where they are known, or pixels (voxels of the finest axis) everywhere."""


@dataclass(frozen=True)
class Sampling:
    """What lengths mean to a metric.

    Attributes:
        spacing: Distance between samples along each array axis, (z, y, x) or (y, x), in ``unit``.
        tolerance: Distance up to which surfaces agree, in ``unit``.
        unit: "mm", or "px" where the spacing is unknown or microscopic; then the finest axis has spacing 1.
    """

    spacing: tuple[float, ...]
    tolerance: float = DEFAULT_TOLERANCE
    unit: Literal["mm", "px"] = "mm"

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise InputError("tolerance", expected="a distance of 0 or more", got=self.tolerance)

    @classmethod
    def of(cls, geometry: Geometry, tolerance: float = DEFAULT_TOLERANCE, unit: ToleranceUnit = "auto") -> Sampling:
        """The sampling of an image's grid.

        Args:
            geometry: Of the image.
            tolerance: In the unit that comes of ``unit``.
            unit: "auto" takes millimetres where they are known and tell something, "px" pixels of the finest axis.
        """
        spacing, finest = geometry.array_spacing, min(geometry.array_spacing)
        if unit == "auto" and geometry.spacing_known and finest >= FINEST_MILLIMETRES:
            return cls(spacing, tolerance, "mm")
        return cls(tuple(s / finest for s in spacing), tolerance, "px")


Metric = Callable[[NDArray[Any], NDArray[Any], Sampling], float]
"""``metric(truth, prediction, sampling)``: binary masks of one shape, axes (z, y, x) or (y, x), to a score."""

METRICS: Registry[Metric] = Registry("metric", "bedside.evaluate.metrics")


def check_masks(truth: NDArray[Any], prediction: NDArray[Any]) -> None:
    """Refuse masks of different shapes, which NumPy might broadcast.

    Raises:
        InputError: The shapes differ.
    """
    if truth.shape != prediction.shape:
        raise InputError("metric", expected=f"a prediction of the truth's shape {truth.shape}", got=prediction.shape)
