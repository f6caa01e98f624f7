"""Where an array lies in the patient: shape, spacing, origin and direction, in LPS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedside.core.errors import GeometryError
from bedside.core.transforms import NiftiTransforms

DIRECTION_TOLERANCE = 1e-3
"""How far the columns of a direction may be from orthonormal: DICOM and NIfTI store few digits."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Millimetres: what formats that keep single precision can hold, with room for the products of a few of them."""


@dataclass(frozen=True)
class Geometry:
    """The sampling grid of an image or a mask, in two or three dimensions.

    World coordinates are millimetres in LPS (x to the patient's left, y to posterior, z to superior), as in
    DICOM and ITK. A point with continuous index ``i`` in (x, y, z) order lies at
    ``origin + direction @ (spacing * i)``; the centre of the first voxel has index 0.

    Attributes:
        shape: Voxels along each axis in array order, (z, y, x) or (y, x).
        spacing: Distance between voxel centres in mm, in (x, y, z) or (x, y) order, positive.
        origin: World position of the first voxel's centre in mm, (x, y, z) or (x, y).
        direction: Row-major matrix whose columns are the unit vectors along x, y (and z) of the index.
        spacing_known: False where the source gave no spacing and 1 mm stands in; lengths are then pixels.
        nifti: Both transforms of the NIfTI file that the grid was read from, for files written on it; no part of what
            makes two grids equal.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[tuple[float, ...], ...]
    spacing_known: bool = True
    nifti: NiftiTransforms | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.shape)
        if n not in (2, 3):
            raise GeometryError("geometry", expected="2 or 3 axes", got=f"{n}")
        if any(s < 1 for s in self.shape):
            raise GeometryError("geometry", expected="at least one voxel on every axis", got=f"shape {self.shape}")
        if len(self.spacing) != n or len(self.origin) != n or np.shape(self.direction) != (n, n):
            raise GeometryError("geometry", expected=f"spacing, origin and direction of {n} axes", got=repr(self))
        if not all(SMALLEST <= s <= LARGEST for s in self.spacing):
            limits = f"{SMALLEST:g} to {LARGEST:g}"
            raise GeometryError("spacing", expected=f"positive millimetres, {limits}", got=self.spacing)
        if not all(abs(o) <= LARGEST for o in self.origin):
            raise GeometryError("origin", expected=f"finite millimetres, up to {LARGEST:g}", got=self.origin)
        matrix = np.asarray(self.direction, dtype=np.float64)
        if not np.all(np.isfinite(matrix)) or np.abs(matrix.T @ matrix - np.eye(n)).max() > DIRECTION_TOLERANCE:
            raise GeometryError(
                "direction",
                expected="orthonormal axes",
                got=self.direction,
                fix="a sheared (gantry-tilted) stack must be resampled to a regular grid first",
            )

    @classmethod
    def create(
        cls,
        shape: Sequence[int],
        spacing: Sequence[float] | None = None,
        origin: Sequence[float] | None = None,
        direction: ArrayLike | None = None,
    ) -> Geometry:
        """A geometry from whatever is known; what is not given is 1 mm, at the origin, along the world's axes.

        Args:
            shape: Array order.
            spacing: (x, y, z) order, mm; None where the source gives none.
            origin: (x, y, z) order, mm.
            direction: Matrix (n, n), columns along the index axes x, y, z; or its n * n numbers, row by row.
        """
        n = len(shape)
        matrix = np.eye(n) if direction is None else np.asarray(direction, dtype=np.float64)
        if matrix.size != n * n:
            raise GeometryError("direction", expected=f"{n} x {n} numbers", got=f"{matrix.size}")
        matrix = matrix.reshape(n, n)
        return cls(
            shape=tuple(int(s) for s in shape),
            spacing=tuple(float(s) for s in spacing) if spacing is not None else (1.0,) * n,
            origin=tuple(float(o) for o in origin) if origin is not None else (0.0,) * n,
            direction=tuple(tuple(float(v) for v in row) for row in matrix),
            spacing_known=spacing is not None,
        )

    @property
    def ndim(self) -> int:
        """Number of axes, 2 or 3."""
        return len(self.shape)

    @property
    def array_spacing(self) -> tuple[float, ...]:
        """Spacing in array order (z, y, x) or (y, x), mm."""
        return self.spacing[::-1]

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in mm3 (area of a pixel in mm2 for two axes)."""
        return math.prod(self.spacing)

    @property
    def index_to_world_matrix(self) -> NDArray[np.float64]:
        """Homogeneous matrix (n + 1, n + 1) from continuous index (x, y, z) to world mm."""
        n = self.ndim
        matrix = np.eye(n + 1)
        matrix[:n, :n] = np.asarray(self.direction) * np.asarray(self.spacing)
        matrix[:n, n] = self.origin
        return matrix

    def index_to_world(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return world mm of continuous indices ``points`` (..., n), both in (x, y, z) order."""
        index = np.asarray(points, dtype=np.float64)
        scaled = index * np.asarray(self.spacing)
        world: NDArray[np.float64] = scaled @ np.asarray(self.direction).T + np.asarray(self.origin)
        return world

    def world_to_index(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return continuous indices of world ``points`` (..., n) in mm, both in (x, y, z) order."""
        world = np.asarray(points, dtype=np.float64) - np.asarray(self.origin)
        # The inverse and not the transpose: directions read from files are orthonormal to a few digits only.
        index: NDArray[np.float64] = world @ np.linalg.inv(np.asarray(self.direction)).T / np.asarray(self.spacing)
        return index

    def contains_index(self, point: Sequence[float]) -> bool:
        """Return whether a continuous index (x, y, z) lies within the voxels (half a voxel beyond their centres)."""
        return all(-0.5 <= c < n - 0.5 for c, n in zip(point, self.shape[::-1], strict=True))

    def matches(self, other: Geometry, tolerance: float = 1e-3) -> bool:
        """Return whether two grids are the same: equal shapes, and corners that differ by less than a part of a voxel.

        Where a grid was read from a NIfTI file whose two transforms differ, it lies in several places, depending on
        the program; one of them in common is enough.

        Args:
            other: The grid to compare with.
            tolerance: Largest distance between corresponding corners, in units of the smallest spacing.
        """
        if self.shape != other.shape:
            return False
        if not (self.spacing_known and other.spacing_known):
            return True
        last = np.asarray(self.shape[::-1]) - 1
        corners = np.array(np.meshgrid(*[(0, v) for v in last])).reshape(self.ndim, -1).T
        allowed = tolerance * min(self.spacing)
        there = [_transformed(matrix, corners) for matrix in other._placements()]
        return any(
            float(np.abs(_transformed(matrix, corners) - place).max()) <= allowed
            for matrix in self._placements()
            for place in there
        )

    def carried(self) -> NiftiTransforms | None:
        """Return the transforms of the file that the grid was read from, if they still describe it; else None."""
        nifti = self.nifti
        if nifti is None or tuple(n for n in nifti.shape if n != 1) != tuple(n for n in self.shape[::-1] if n != 1):
            return None
        if self.ndim == 2:
            # A plane has lost its place in the world; its size of pixels must do.
            same = np.allclose(np.abs(nifti.pixdim[1:3]) * nifti.scale, self.spacing, rtol=1e-4)
            return nifti if same or not self.spacing_known else None
        own = self.index_to_world_matrix
        extent = np.array([*(n - 1 for n in self.shape[::-1]), 1.0])
        allowed = 1e-2 * min(self.spacing)
        near = any(float(np.abs((m - own) @ extent).max()) <= allowed for m in nifti.placements())
        return nifti if near or not self.spacing_known else None

    def _placements(self) -> list[NDArray[np.float64]]:
        """Return matrices from index to world by which some program places the grid, its own first."""
        nifti = self.carried()
        others = nifti.placements() if nifti is not None and self.ndim == 3 else []
        return [self.index_to_world_matrix, *others]

    def size_of(self, voxels: int) -> dict[str, int | float | None]:
        """Return ``voxels``, and ``volume_mm3`` and ``volume_ml`` or ``area_mm2`` of so many voxels or pixels.

        Lengths are None where the spacing is not known.
        """
        size: dict[str, int | float | None] = dict.fromkeys(("volume_mm3", "volume_ml", "area_mm2"))
        size = {"voxels": voxels, **size}
        if self.spacing_known:
            extent = voxels * self.voxel_volume
            size |= {"volume_mm3": extent, "volume_ml": extent / 1000} if self.ndim == 3 else {"area_mm2": extent}
        return size

    def to_dict(self) -> dict[str, object]:
        """Return plain numbers, for JSON."""
        return {
            "shape": list(self.shape),
            "spacing": list(self.spacing),
            "origin": list(self.origin),
            "direction": [list(row) for row in self.direction],
            "spacing_known": self.spacing_known,
        }


def _transformed(matrix: NDArray[np.float64], points: NDArray[Any]) -> NDArray[np.float64]:
    n = points.shape[-1]
    return np.asarray(points @ matrix[:n, :n].T + matrix[:n, n])
