"""Measure how well a known motion between two images of a patient is found.

``python benchmarks/registration.py DATA/train/3d/SET ... [--cases N] [--motions N]``

Each volume is the image; the prior is the same volume after a random motion, with another curve of contrast, noise and
other borders, none of it resampled. The error is the largest distance between where the found and the true motion bring
the corners of the middle half of the image.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.data.catalogue import find_data_sets
from bedside.imaging.registration import register_rigid

LARGEST_ANGLE, LARGEST_SHIFT = 15.0, 0.15
"""Degrees, and parts of the image's extent."""


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a rotation by up to 15 degrees about a random axis."""
    x, y, z = (axis := rng.normal(size=3)) / np.linalg.norm(axis)
    angle = np.deg2rad(rng.uniform(0, LARGEST_ANGLE))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def moved(image: Image, rng: np.random.Generator) -> tuple[Image, NDArray[np.float64]]:
    """Return the prior of an image, and the matrix (4, 4) of the motion from the image to it."""
    grid = image.geometry
    size = np.array(grid.shape[::-1])
    middle = grid.index_to_world((size - 1) / 2)
    truth = np.eye(4)
    truth[:3, :3] = random_rotation(rng)
    shift = rng.uniform(-LARGEST_SHIFT, LARGEST_SHIFT, 3) * size * grid.spacing
    truth[:3, 3] = middle + shift - truth[:3, :3] @ middle
    low, high = np.percentile(image.array, (1, 99))
    values = np.clip((image.array - low) / max(high - low, 1e-6), 0, 1) ** rng.uniform(0.6, 1.5)
    values = values + rng.normal(0, 0.03, values.shape)
    cut = [(int(n * rng.uniform(0, 0.1)), n - int(n * rng.uniform(0, 0.1))) for n in grid.shape]
    values = values[tuple(slice(*ends) for ends in cut)].astype(np.float32)
    first = grid.index_to_world([start for start, _ in cut[::-1]])
    origin = list(truth[:3, :3] @ first + truth[:3, 3])
    placed = Geometry.create(values.shape, grid.spacing, origin, truth[:3, :3] @ np.asarray(grid.direction))
    return Image(values, placed), truth


def measure(image: Image, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the error before and after, in mm, and the seconds."""
    prior, truth = moved(image, rng)
    size = np.array(image.shape[::-1])
    corners = np.array(np.meshgrid(*[(0.25 * n, 0.75 * n) for n in size])).reshape(3, -1).T
    points = np.c_[image.geometry.index_to_world(corners), np.ones(8)]
    began = time.perf_counter()
    found = register_rigid(image, prior)
    seconds = time.perf_counter() - began
    there = [points @ matrix.T for matrix in (truth, np.eye(4), found.matrix)]
    before, after = (float(np.linalg.norm(t - there[0], axis=1).max()) for t in there[1:])
    return before, after, seconds


def main() -> None:
    """Print a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--motions", type=int, default=2)
    chosen = parser.parse_args()
    print("| set | pairs | voxel, mm | error before | median after | worst after | seconds |")
    print("|---|---|---|---|---|---|---|")
    for folder in chosen.folders:
        rng = np.random.default_rng(0)
        (data_set,) = find_data_sets(folder)
        rows: list[Any] = []
        spacing = 0.0
        for case in data_set.cases[: chosen.cases]:
            image = case.load().image
            spacing = max(spacing, *image.geometry.spacing)
            rows.extend(measure(image, rng) for _ in range(chosen.motions))
        before, after, seconds = np.array(rows).T
        print(
            f"| {data_set.name} | {len(rows)} | {spacing:.1f} | {np.median(before):.1f} | {np.median(after):.2f} "
            f"| {after.max():.2f} | {np.median(seconds):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
