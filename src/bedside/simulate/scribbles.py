"""Simulated scribbles and lassos, on images or on one slice of a volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Scribble
from bedside.simulate.components import depth, largest_component


def centre_scribble(truth: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Scribble:
    """Return a stroke through the deep inside of an object's largest part, from one end to the other.

    The stroke follows the ridge of the depth along the part's longer axis, smoothed as a hand would draw it, and
    leaves out a random share of both ends.

    Args:
        truth: The object (y, x), at least one pixel set.
        generator: Source of randomness.
        positive: Sign of the scribble.
    """
    part, region = largest_component(truth)
    distances = depth(part)
    along = 0 if part.shape[0] >= part.shape[1] else 1
    profile = distances if along == 0 else distances.T
    position = np.arange(profile.shape[0])
    # Weighting by a high power of the depth follows the ridge yet changes smoothly from row to row.
    weight = profile**4
    centre = (weight * np.arange(profile.shape[1])).sum(axis=1) / weight.sum(axis=1)
    centre = ndimage.gaussian_filter1d(centre, max(1.0, profile.shape[0] / 12), mode="nearest")
    first = int(generator.uniform(0.05, 0.3) * (len(position) - 1))
    last = len(position) - 1 - int(generator.uniform(0.05, 0.3) * (len(position) - 1))
    picked = np.unique(np.linspace(first, last, num=min(12, max(1, last - first + 1))).round().astype(int))
    rows, columns = position[picked], centre[picked]
    if along == 1:
        rows, columns = columns, rows
    points = [(float(x + region.start[1]), float(y + region.start[0])) for y, x in zip(rows, columns, strict=True)]
    return Scribble(tuple(points), positive)


def line_scribble(truth: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Scribble:
    """Return a straight stroke between two random pixels of an object's largest part.

    Args:
        truth: The object (y, x), at least one pixel set.
        generator: Source of randomness.
        positive: Sign of the scribble.
    """
    part, region = largest_component(truth)
    pixels = np.argwhere(part)
    ends = pixels[generator.integers(len(pixels), size=2)] + np.array(region.start)
    return Scribble(tuple((float(x), float(y)) for y, x in ends), positive)


def contour_scribble(truth: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Scribble:
    """Return a stroke along the inside of an object's border, on part of its round.

    Args:
        truth: The object (y, x), at least one pixel set.
        generator: Source of randomness.
        positive: Sign of the scribble.
    """
    part, region = largest_component(truth)
    distances = depth(part)
    level = distances.max() * generator.uniform(0.2, 0.5)
    ring = np.argwhere((distances >= level) & (distances < level + 1.0))
    if len(ring) < 3:
        return line_scribble(truth, generator, positive)
    centre = ring.mean(axis=0)
    angle = np.arctan2(ring[:, 0] - centre[0], ring[:, 1] - centre[1])
    begin = generator.uniform(-np.pi, np.pi)
    turned = (angle - begin) % (2 * np.pi)
    order = np.argsort(turned)
    kept = order[turned[order] < generator.uniform(0.5, 1.5) * np.pi]
    picked = ring[kept[:: max(1, len(kept) // 16)]] if len(kept) >= 2 else ring[order[:2]]
    points = [(float(x + region.start[1]), float(y + region.start[0])) for y, x in picked]
    return Scribble(tuple(points), positive)


def simulate_scribble(truth: NDArray[Any], generator: np.random.Generator, positive: bool = True) -> Scribble:
    """Return a line, centre or contour scribble, drawn with weights 4, 2 and 3 (specs, nnInteractive training)."""
    kind = generator.choice(3, p=(4 / 9, 2 / 9, 3 / 9))
    return (line_scribble, centre_scribble, contour_scribble)[kind](truth, generator, positive)


def lasso_region(truth: NDArray[Any], generator: np.random.Generator, looseness: float = 0.15) -> NDArray[np.bool_]:
    """Return the area inside a lasso that someone draws around an object in a hurry: closed, dilated and uneven.

    Args:
        truth: The object (y, x), at least one pixel set.
        generator: Source of randomness.
        looseness: Standard deviation of the border's displacement in parts of the object's radius.
    """
    radius = float(np.sqrt(np.count_nonzero(truth) / np.pi))
    outside = ndimage.distance_transform_edt(truth == 0)
    inside = ndimage.distance_transform_edt(truth != 0)
    signed = outside - inside
    noise = ndimage.gaussian_filter(generator.standard_normal(truth.shape), max(2.0, radius / 2), mode="nearest")
    deviation = float(noise.std()) or 1.0
    margin = generator.uniform(0.0, 2.0) * looseness * radius
    region: NDArray[np.bool_] = signed < margin + noise / deviation * looseness * radius
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(region | (signed < -0.5 * radius))
    return filled
