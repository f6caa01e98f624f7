"""A made-up patient in two images, between which the motion is known: an independent truth for registration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import write_image, write_mask


@dataclass(frozen=True)
class Patient:
    """A body with blobs in it, a function of the world and not of any grid.

    Attributes:
        centres: (k, n) of the blobs, mm; the first is the lesion.
        radii: (k,) mm.
        values: (k,) what each adds.
        size: Radii of the body, mm.
    """

    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    values: NDArray[np.float64]
    size: NDArray[np.float64]

    @classmethod
    def draw(cls, seed: int, axes: int) -> Patient:
        """Return one of its own for each seed."""
        rng = np.random.default_rng(seed)
        size = rng.uniform(50, 70, axes)
        return cls(rng.uniform(-0.55, 0.55, (14, axes)) * size, rng.uniform(6, 14, 14), rng.uniform(-60, 90, 14), size)

    def look(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is at ``points`` (..., n), mm."""
        value = 100 / (1 + np.exp(np.clip(20 * (np.linalg.norm(points / self.size, axis=-1) - 1), -50, 50)))
        for centre, radius, adds in zip(self.centres, self.radii, self.values, strict=True):
            value += adds * np.exp(-(((points - centre) ** 2).sum(-1)) / (2 * (radius / 1.6) ** 2))
        return value

    def lesion(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of ``points`` lie in the lesion."""
        return np.linalg.norm(points - self.centres[0], axis=-1) < self.radii[0]


def rotation(seed: int, degrees: float, axes: int) -> NDArray[np.float64]:
    """Return a rotation matrix about a random axis."""
    angle = np.deg2rad(degrees)
    if axes == 2:
        return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    axis = np.random.default_rng(seed).normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def motion_of(seed: int, degrees: float, shift: float, axes: int) -> NDArray[np.float64]:
    """Return the homogeneous matrix of a turn by ``degrees`` and a shift by ``shift`` mm in a random direction."""
    matrix = np.eye(axes + 1)
    matrix[:axes, :axes] = rotation(seed, degrees, axes)
    way = np.random.default_rng(seed + 1).normal(size=axes)
    matrix[:axes, axes] = way / np.linalg.norm(way) * shift
    return matrix


def points_of(grid: Geometry) -> NDArray[np.float64]:
    """Return the world position of every voxel, (*shape, n) mm."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")[::-1], axis=-1)
    return grid.index_to_world(index)


def picture(
    patient: Patient, grid: Geometry, motion: NDArray[np.float64], seed: int, *, inverted: bool = False
) -> tuple[Image, NDArray[np.uint8]]:
    """Return an image of the patient after a motion, with noise, and the lesion's mask on its grid.

    Args:
        patient: Who.
        grid: Where.
        motion: From where the patient was at first to where it is now.
        seed: Of the noise.
        inverted: As another modality would show it: another curve of contrast, and less noise.
    """
    n = grid.ndim
    back = np.linalg.inv(motion)
    points = points_of(grid) @ back[:n, :n].T + back[:n, n]
    values = patient.look(points)
    values = 900 - 60 * np.sqrt(np.clip(values + 80, 0, None)) if inverted else values
    noise = np.random.default_rng(seed).normal(0, 3, values.shape)
    return Image((values + noise).astype(np.float32), grid), patient.lesion(points).astype(np.uint8)


def grid_around(
    shape: tuple[int, ...], spacing: tuple[float, ...], turned: float = 0.0, flip: bool = False
) -> Geometry:
    """Return a grid (z, y, x) whose centre is the world's, turned by degrees, left-handed where ``flip``."""
    n = len(shape)
    direction = rotation(7, turned, n)
    if flip:
        direction = direction * np.array([-1.0, *(1.0,) * (n - 1)])
    middle = (np.array(shape[::-1]) - 1) / 2
    return Geometry.create(shape, spacing, -(direction * np.array(spacing)) @ middle, direction)


def write_visits(folder: Path, label: int = 1) -> tuple[Image, NDArray[np.uint8]]:
    """Write ``now.nii.gz``, ``before.nii.gz`` and ``drawn.nii.gz``, a mask of the earlier one.

    Returns:
        The image of now, and the mask that the lesion has on it.
    """
    patient = Patient.draw(3, 3)
    now, lesion = picture(patient, grid_around((30, 44, 44), (3.0, 3.0, 4.0)), np.eye(4), 1)
    before, drawn = picture(patient, grid_around((44, 44, 44), (2.8, 2.8, 2.8)), motion_of(3, 6, 12, 3), 2)
    write_image(folder / "now.nii.gz", now)
    write_image(folder / "before.nii.gz", before)
    write_mask(folder / "drawn.nii.gz", drawn * np.uint8(label), before.geometry)
    return now, lesion


def overlap(mask: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the DSC of two masks."""
    one, two = mask > 0, other > 0
    return float(2 * np.sum(one & two) / (one.sum() + two.sum()))
