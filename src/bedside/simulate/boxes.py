"""Simulated boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import PromptError
from bedside.core.prompts import Box
from bedside.core.region import Region, mask_region
from bedside.simulate.components import label_components

MOST_BOXES = 8
"""Boxes that a user draws around the parts of one object; with more parts, neighbours share a box."""
MOST_PARTS = 64
"""Parts between all of which the best pair is looked for."""


def tight_box(truth: NDArray[Any]) -> Box:
    """Return the smallest box that holds the object.

    Raises:
        PromptError: The object is empty.
    """
    region = mask_region(truth)
    if region.is_empty:
        raise PromptError("box of an object", expected="at least one voxel", got="an empty mask")
    return Box(tuple(map(float, region.start[::-1])), tuple(map(float, region.stop[::-1])))


def part_boxes(truth: NDArray[Any], limit: int = MOST_BOXES) -> list[Box]:
    """Return a box around each connected part of an object, or around neighbours where there are more than ``limit``.

    Where there are, those two boxes are joined again and again whose common box adds least to what they hold apart.

    Args:
        truth: The object.
        limit: Boxes at most, at least one.

    Returns:
        Boxes in the frame ``index``, in array order of their first corners.

    Raises:
        PromptError: The object is empty.
    """
    outer = mask_region(truth)
    if outer.is_empty:
        raise PromptError("boxes of an object", expected="at least one voxel", got="an empty mask")
    labels, _ = label_components(truth[outer.slices])
    regions = [
        Region(tuple(s.start for s in block), tuple(s.stop for s in block)) for block in ndimage.find_objects(labels)
    ]
    # Of many parts the small ones go first into the nearest box, or each pair of thousands would be looked at.
    regions = _join_small(regions, max(limit, MOST_PARTS))
    while len(regions) > limit:
        _, a, b = min(
            (_volume(p.union(q)) - _volume(p) - _volume(q), m, n)
            for m, p in enumerate(regions)
            for n, q in enumerate(regions[:m])
        )
        joined = regions[a].union(regions[b])
        regions = [r for n, r in enumerate(regions) if n not in (a, b)] + [joined]
    placed = sorted((r.shift(outer.start) for r in regions), key=lambda r: (r.start, r.stop))
    return [Box(tuple(map(float, r.start[::-1])), tuple(map(float, r.stop[::-1]))) for r in placed]


def _join_small(regions: list[Region], limit: int) -> list[Region]:
    """Return at most ``limit`` regions: the largest, each of the others joined to that to which it adds least."""
    ordered = sorted(regions, key=_volume, reverse=True)
    kept = ordered[:limit]
    for region in ordered[limit:]:
        nearest = min(range(limit), key=lambda n: _volume(kept[n].union(region)) - _volume(kept[n]))
        kept[nearest] = kept[nearest].union(region)
    return kept


def _volume(region: Region) -> int:
    return int(np.prod(region.shape))


def jittered_box(box: Box, generator: np.random.Generator, inward: float = 0.05, outward: float = 0.1) -> Box:
    """Return ``box`` with each face moved on its own, uniformly from ``inward`` to ``outward``, in parts of the box's
    side.

    Args:
        box: In the frame ``index``.
        generator: Source of randomness.
        inward: Largest share of the side by which a face may cut into the box.
        outward: Largest share of the side by which a face may stand off.
    """
    low, high = np.array(box.low), np.array(box.high)
    side = high - low
    low = low - generator.uniform(-inward, outward, size=len(side)) * side
    high = high + generator.uniform(-inward, outward, size=len(side)) * side
    # However far the faces move, a voxel's breadth of the box is left.
    high = np.maximum(high, low + 1.0)
    return Box(tuple(low), tuple(high), box.positive, box.frame)
