"""How well a mask agrees with the truth: a registry of metrics, each one file that registers its specification.

Everything that shows or compares scores (command line, means, tables, curves, ranks) reads the specification, so that a
metric is one file, here or in a package of one's own under the entry-point group ``bedside.metrics``:

    SPEC = register_metric(
        MetricSpec("volume-ratio", "higher", "", (0.0, 1.0), EmptyValues(), "", volume_ratio)
    )
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.registry import Registry

DEFAULT_TOLERANCE = 2.0
"""Distance in mm, or in pixels, up to which two surfaces agree: that of the 2024 and 2025 challenges."""
FINEST_MILLIMETRES = 0.05
"""Images sampled more finely show cells, whose size a tolerance in mm would exceed: they are measured in pixels."""
DEFAULT_METRICS = ("dsc", "nsd")
"""Metrics that are measured where none is named: those of both challenges."""
LENGTH = "length"
"""Unit of metrics that are distances: that of the image's ``Sampling``."""

ToleranceUnit = Literal["auto", "px"]
"""Whether lengths are millimetres where they are known, or pixels (voxels of the finest axis) everywhere."""
Direction = Literal["higher", "lower"]
"""Which values of a metric are better."""


@dataclass(frozen=True)
class Sampling:
    """What lengths mean to a metric.

    Attributes:
        spacing: Distance between samples along each array axis, (z, y, x) or (y, x), in ``unit``.
        tolerance: Distance up to which surfaces agree, in ``unit``.
        unit: "mm", or "px" where the spacing is unknown or microscopic; then the finest axis has spacing 1.
        diagonal: Longest distance within the image, in ``unit``; infinite where the image's extent is not known.
    """

    spacing: tuple[float, ...]
    tolerance: float = DEFAULT_TOLERANCE
    unit: Literal["mm", "px"] = "mm"
    diagonal: float = field(default=math.inf, compare=False)

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise InputError("tolerance", expected="a distance of 0 or more", got=self.tolerance)

    @classmethod
    def of(cls, geometry: Geometry, tolerance: float = DEFAULT_TOLERANCE, unit: ToleranceUnit = "auto") -> Sampling:
        """Take the sampling of an image's grid.

        Args:
            geometry: Geometry of the image.
            tolerance: In the unit that comes of ``unit``.
            unit: "auto" takes millimetres where they are known and tell something, "px" pixels of the finest axis.
        """
        spacing, finest = geometry.array_spacing, min(geometry.array_spacing)
        if unit == "auto" and geometry.spacing_known and finest >= FINEST_MILLIMETRES:
            return cls(spacing, tolerance, "mm", image_diagonal(geometry.shape, spacing))
        relative = tuple(s / finest for s in spacing)
        return cls(relative, tolerance, "px", image_diagonal(geometry.shape, relative))


def image_diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Return the length from corner to corner of an array of ``shape`` whose samples lie ``spacing`` apart."""
    return math.hypot(*(n * s for n, s in zip(shape, spacing, strict=True)))


@dataclass(frozen=True)
class EmptyValues:
    """What a metric is where a mask has no voxel.

    Attributes:
        both: Both of two empty masks. NaN says that there was nothing to find: the value then takes no part in means.
        one: One of one empty mask; "diagonal" for the longest distance within the image, so that means of a distance
            stay finite and a missed object is the worst that can be.
    """

    both: float = math.nan
    one: float | Literal["diagonal"] = 0.0


Compute = Callable[[NDArray[Any], NDArray[Any], Sampling], float]
"""``compute(truth, prediction, sampling)``: binary masks of one shape, (z, y, x) or (y, x), neither of them empty."""


@dataclass(frozen=True)
class MetricSpec:
    """All that is known of a metric.

    Attributes:
        name: In lower case; key in results and, in capitals, heading of tables.
        direction: Whether higher or lower values are better.
        unit: "" for a share or a count, ``LENGTH`` for a distance, else the unit as it is to be printed.
        range: Lowest and highest possible value; the highest may be infinite.
        empty: Values for empty masks, for which ``compute`` is not asked.
        paper: Where it is defined.
        compute: Its function.
    """

    name: str
    direction: Direction
    unit: str
    range: tuple[float, float]
    empty: EmptyValues
    paper: str
    compute: Compute = field(repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise InputError("metric's name", expected="lower case letters, digits, - and _", got=f"'{self.name}'")
        if self.direction not in ("higher", "lower"):
            raise InputError(f"direction of metric '{self.name}'", expected="higher or lower", got=self.direction)
        low, high = self.range
        if not (math.isfinite(low) and low < high):
            raise InputError(f"range of metric '{self.name}'", expected="a finite lowest value below the highest")

    @property
    def title(self) -> str:
        """The name as headings show it."""
        return self.name.upper()

    @property
    def is_length(self) -> bool:
        """Whether values are distances in the unit of the image's sampling."""
        return self.unit == LENGTH

    def score(self, truth: NDArray[Any], prediction: NDArray[Any], sampling: Sampling) -> float:
        """Measure a prediction.

        Args:
            truth: Binary mask (z, y, x) or (y, x); non-zero is the object.
            prediction: Binary mask of the same shape.
            sampling: Spacing and tolerance.

        Raises:
            InputError: The shapes differ, or the spacing has another number of axes.
        """
        if truth.shape != prediction.shape:
            expected = f"a prediction of the truth's shape {truth.shape}"
            raise InputError("metric", expected=expected, got=prediction.shape)
        if truth.ndim not in (2, 3) or len(sampling.spacing) != truth.ndim:
            expected = f"masks of 2 or 3 axes and {truth.ndim} spacings"
            raise InputError("metric", expected=expected, got=sampling.spacing)
        found = bool(np.any(truth)), bool(np.any(prediction))
        if all(found):
            return float(self.compute(truth, prediction, sampling))
        if not any(found):
            return self.empty.both
        return sampling.diagonal if self.empty.one == "diagonal" else self.empty.one

    def best(self, values: Iterable[float]) -> float:
        """Return the best of values; NaN, which is no value, where there is no other."""
        known = [v for v in values if not math.isnan(v)]
        if not known:
            return math.nan
        return max(known) if self.direction == "higher" else min(known)

    def text(self, value: float) -> str:
        """Write a value for a table: three digits of a share, two of anything else, "-" for none."""
        if not math.isfinite(value):
            return "-"
        return f"{value:.{self.digits}f}"

    @property
    def digits(self) -> int:
        """Digits behind the point in tables."""
        return 3 if self.range[1] - self.range[0] <= 1 else 2

    def heading(self, units: Iterable[str] = ()) -> str:
        """Write the name with its unit.

        Args:
            units: Units of the samplings behind the values, which a distance is in: "mm", "px" or both.
        """
        unit = " or ".join(sorted(set(units))) if self.is_length else self.unit
        return f"{self.title} {unit}".strip()


METRICS: Registry[MetricSpec] = Registry("metric", "bedside.evaluate.metrics")


def register_metric(spec: MetricSpec) -> MetricSpec:
    """Add a metric to ``METRICS`` under its own name.

    Raises:
        InputError: The name is taken.
    """
    return METRICS.register(spec.name)(spec)


def metric_specs(names: Iterable[str]) -> tuple[MetricSpec, ...]:
    """Look up metrics by name, in the order of ``names``.

    Raises:
        InputError: There is none of a name, a name stands twice, or there is no name.
    """
    wanted = list(names)
    if not wanted or len(set(wanted)) != len(wanted):
        expected = f"each once of {', '.join(METRICS.names())}"
        raise InputError("metrics", expected=expected, got=f"'{', '.join(wanted)}'")
    return tuple(METRICS.get(name) for name in wanted)
