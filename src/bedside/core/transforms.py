"""The two transforms of a NIfTI file, kept as they are stored, and what different programs make of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SCANNER = 1
"""NIFTI_XFORM_SCANNER_ANAT."""
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MILLIMETRES = {1: 1e3, 3: 1e-3}
"""Millimetres of the unit's code in the lowest three bits of ``xyzt_units``: metre and micron."""


@dataclass(frozen=True)
class NiftiTransforms:
    """The fields of a NIfTI header that place its voxels (nifti1.h), for files that are written on the same grid.

    Programs choose differently between the two transforms: nibabel takes the sform wherever its code is not 0, ITK
    only where it is 1 or the qform's is 0. So a file on the same grid must carry both, or it lies elsewhere for some.

    Attributes:
        shape: Voxels along x, y and z as the file has them.
        codes: ``qform_code`` and ``sform_code``.
        pixdim: ``pixdim[0..3]``: the handedness and the spacing in the file's unit.
        quaternion: ``quatern_b, quatern_c, quatern_d``.
        offset: ``qoffset_x, qoffset_y, qoffset_z``.
        rows: ``srow_x, srow_y, srow_z``, twelve numbers.
        units: ``xyzt_units``.
    """

    shape: tuple[int, ...]
    codes: tuple[int, int]
    pixdim: tuple[float, float, float, float]
    quaternion: tuple[float, float, float]
    offset: tuple[float, float, float]
    rows: tuple[float, ...]
    units: int

    @property
    def scale(self) -> float:
        """Millimetres of the file's unit; 1 where it names none."""
        return _MILLIMETRES.get(self.units & 7, 1.0)

    @property
    def qform(self) -> NDArray[np.float64]:
        """Matrix (4, 4) from index (x, y, z) to the file's unit in RAS, by the quaternion (nifti1.h, method 2)."""
        b, c, d = self.quaternion
        a = math.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
        if a < 1e-7:
            length = math.sqrt(b * b + c * c + d * d) or 1.0
            a, b, c, d = 0.0, b / length, c / length, d / length
        rotation = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        handedness = -1.0 if self.pixdim[0] < 0 else 1.0
        matrix = np.eye(4)
        matrix[:3, :3] = rotation * np.abs(self.pixdim[1:]) * (1.0, 1.0, handedness)
        matrix[:3, 3] = self.offset
        return matrix

    @property
    def sform(self) -> NDArray[np.float64]:
        """Matrix (4, 4) from index (x, y, z) to the file's unit in RAS, as it is stored (nifti1.h, method 3)."""
        matrix = np.eye(4)
        matrix[:3] = np.reshape(self.rows, (3, 4))
        return matrix

    def for_nibabel(self) -> NDArray[np.float64]:
        """Return where nibabel puts the voxels: matrix (4, 4) from index (x, y, z) to LPS in the file's unit."""
        if self.codes[1]:
            return _RAS_TO_LPS @ self.sform
        if self.codes[0]:
            return _RAS_TO_LPS @ self.qform
        # Without a code: the middle of the grid at the origin, x to the left.
        spacing = np.array([-abs(self.pixdim[1]), abs(self.pixdim[2]), abs(self.pixdim[3])])
        size = np.array((*self.shape, 1, 1)[:3])
        matrix = np.diag([*spacing, 1.0])
        matrix[:3, 3] = -spacing * (size - 1) / 2
        return _RAS_TO_LPS @ matrix

    def for_itk(self) -> NDArray[np.float64]:
        """Return where ITK puts the voxels: matrix (4, 4) from index (x, y, z) to LPS in millimetres."""
        unit = np.diag([self.scale] * 3 + [1.0])
        qform, sform = self.codes
        if sform and (sform == SCANNER or not qform) and (not qform or _is_orthogonal(self.sform)):
            return unit @ _RAS_TO_LPS @ self.sform
        if qform:
            return unit @ _RAS_TO_LPS @ self.qform
        # Without a code: the axes along LPS, the first voxel at the origin.
        return unit @ np.diag([*np.abs(self.pixdim[1:]), 1.0])

    def placements(self) -> list[NDArray[np.float64]]:
        """Return all the places at which some program puts the voxels: matrices (4, 4) from index to LPS."""
        unit = np.diag([self.scale] * 3 + [1.0])
        found = [self.for_itk(), self.for_nibabel()]
        found += [_RAS_TO_LPS @ m for m, code in ((self.qform, self.codes[0]), (self.sform, self.codes[1])) if code]
        # Most programs ignore the unit.
        return [*found, *(unit @ matrix for matrix in found[1:])]


def _is_orthogonal(matrix: NDArray[np.float64]) -> bool:
    columns = matrix[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    if not np.all(lengths > 0):
        return False
    unit = columns / lengths
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() < 1e-3)
