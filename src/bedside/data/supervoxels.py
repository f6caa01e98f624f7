"""Supervoxels: objects nobody labelled, for volumes.

SLIC divides a volume into small compact supervoxels; Felzenszwalb's criterion then merges them on the graph of their
contacts, which a volume's own voxels would make too large for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import DependencyError

LONGEST_SIDE = 128
"""Longest side of the reduced copies that carry supervoxels."""
SUPERVOXELS = 2500
"""Supervoxels asked of SLIC before merging."""
SCALES = (0.03, 0.12, 0.5)
"""Felzenszwalb's k, small to large regions; in units of the intensity range times supervoxels."""
COMPACTNESS = 0.02
"""Weight of space against intensity in SLIC, for intensities in 0..1: low, so that regions follow edges."""


def reduce_volume(
    volume: NDArray[Any], spacing: tuple[float, ...] | None
) -> tuple[NDArray[np.uint8], tuple[float, ...] | None]:
    """Return a copy whose longest side is at most ``LONGEST_SIDE``, clipped to its percentiles 0.5 and 99.5 as uint8.

    Args:
        volume: (z, y, x), any range.
        spacing: mm in array order, or None.

    Returns:
        The copy and its spacing.
    """
    values = volume.astype(np.float32)
    factors = [max(1.0, size / LONGEST_SIDE) for size in values.shape]
    if max(factors) > 1:
        smooth = ndimage.gaussian_filter(values, [(f - 1) / 2 for f in factors])
        values = ndimage.zoom(smooth, [1 / f for f in factors], order=1)
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    actual = [before / after for before, after in zip(volume.shape, values.shape, strict=True)]
    reduced = tuple(s * f for s, f in zip(spacing, actual, strict=True)) if spacing else None
    return np.round(scaled * 255).astype(np.uint8), reduced


def supervoxel_maps(volume: NDArray[np.uint8], spacing: tuple[float, ...] | None) -> NDArray[np.uint16]:
    """Return supervoxels of a volume at several scales.

    Args:
        volume: uint8 (z, y, x).
        spacing: mm in array order, or None.

    Returns:
        uint16 (scales, z, y, x), values from 1 on.

    Raises:
        DependencyError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import slic
    except ModuleNotFoundError as error:
        raise DependencyError(
            "supervoxels need scikit-image", fix="install it with: pip install 'bedside[train]'"
        ) from error
    values = volume.astype(np.float32) / 255
    base = slic(
        values,
        n_segments=SUPERVOXELS,
        compactness=COMPACTNESS,
        sigma=0.7,
        spacing=tuple(s / min(spacing) for s in spacing) if spacing else None,
        channel_axis=None,
        max_num_iter=5,
        start_label=0,
    )
    count = int(base.max()) + 1
    means = ndimage.mean(values, base, np.arange(count))
    edges, gaps = contact_graph(base, np.asarray(means))
    merged = [merge_regions(count, edges, gaps, scale) for scale in SCALES]
    return np.stack([labels[base] + 1 for labels in merged]).astype(np.uint16)


def contact_graph(labels: NDArray[Any], means: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of labels that touch across a face, and the difference of their means.

    Args:
        labels: Whole numbers from 0, any shape.
        means: Mean intensity of each label.

    Returns:
        Pairs (edges, 2), each once, and their differences (edges,), sorted by difference.
    """
    count = len(means)
    keys = []
    for axis in range(labels.ndim):
        first = np.take(labels, np.arange(labels.shape[axis] - 1), axis=axis)
        second = np.take(labels, np.arange(1, labels.shape[axis]), axis=axis)
        touching = first != second
        low, high = np.minimum(first, second)[touching], np.maximum(first, second)[touching]
        keys.append(np.unique(low.astype(np.int64) * count + high))
    pairs = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    edges = np.stack([pairs // count, pairs % count], axis=1)
    gaps = np.abs(means[edges[:, 0]] - means[edges[:, 1]])
    order = np.argsort(gaps, kind="stable")
    return edges[order], np.asarray(gaps[order], dtype=np.float64)


def merge_regions(count: int, edges: NDArray[np.int64], gaps: NDArray[np.float64], scale: float) -> NDArray[np.int64]:
    """Merge regions as Felzenszwalb and Huttenlocher do (IJCV 2004): over edges by rising difference, two become one
    where the difference exceeds neither region's own largest difference by more than ``scale`` over its size.

    Args:
        count: Regions to begin with.
        edges: (edges, 2), sorted by ``gaps``.
        gaps: Difference along each edge.
        scale: Felzenszwalb's k.

    Returns:
        For each region the number of the merged one it belongs to, from 0 without gaps.
    """
    parent = list(range(count))
    size = [1] * count
    inner = [0.0] * count

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for (first, second), gap in zip(edges.tolist(), gaps.tolist(), strict=True):
        a, b = root(first), root(second)
        if a == b or gap > min(inner[a] + scale / size[a], inner[b] + scale / size[b]):
            continue
        parent[b] = a
        size[a] += size[b]
        inner[a] = gap
    _, numbers = np.unique([root(node) for node in range(count)], return_inverse=True)
    return np.asarray(numbers, dtype=np.int64)
