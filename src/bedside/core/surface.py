"""Surfaces of objects: triangles in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface of triangles.

    Attributes:
        vertices: float64 (n, 3), (x, y, z) in world mm, LPS.
        faces: int64 (m, 3), vertices of each triangle, anticlockwise as seen from outside.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    @property
    def corners(self) -> NDArray[np.float64]:
        """Corners of every triangle, (m, 3, 3)."""
        return self.vertices[self.faces]

    @property
    def volume(self) -> float:
        """What it encloses in mm3, below 0 where the triangles are turned inside out."""
        a, b, c = np.moveaxis(self.corners - self.vertices.mean(axis=0), 1, 0)
        return float((np.cross(a, b) * c).sum() / 6)

    @property
    def normals(self) -> NDArray[np.float64]:
        """Unit vectors outwards, (m, 3); 0 of triangles without an area."""
        a, b, c = np.moveaxis(self.corners, 1, 0)
        normals = np.cross(b - a, c - a)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.asarray(np.divide(normals, length, out=np.zeros_like(normals), where=length > 0))
