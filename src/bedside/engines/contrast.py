"""Masks by contrast alone: what else a box may mean, without a network.

A network on a coarse grid draws one compact thing, and a box may as well be drawn around all nuclei of a field or
around a tree of vessels. Such objects differ from what lies between them by brightness, colour, brightness against
their surroundings, or thinness. Each of these gives maps, thresholded at the value that separates them best (Otsu,
"A threshold selection method from gray-level histograms", IEEE TSMC 1979); lines are told by the Hessian's eigenvalues
(after Sato et al., "Three-dimensional multi-scale line filter", Medical Image Analysis 1998).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.engines.answer import Answer
from bedside.engines.evidence import Bounds
from bedside.imaging.window import Window

Kind = Literal["brightness or colour", "surroundings", "lines"]
MOST_CELLS = 2**19
"""Of the grid that maps are made on; larger boxes are looked at in coarser cells."""
MARGIN = 8
"""Cells shown around the box, from which its border's surroundings are known."""
NOISE = 1.0
"""Standard deviation in cells by which images are smoothed."""
SURROUNDINGS = 8
"""The part of the box's longest side that counts as a cell's surroundings."""
WIDTHS = (1.0, 1.8, 3.0)
"""Standard deviations in cells at which ridges are looked for."""
BINS = 128
SMALLEST_PART = 12
"""Cells below which a connected part is noise."""
FAINT = 1e-6
"""Range of a map, in parts of the image's, below which it shows nothing."""


@dataclass(frozen=True, eq=False)
class ContrastMask:
    """A mask within a box.

    Attributes:
        answer: The mask as logits, above 0 on the object.
        kind: By what it differs.
        score: How much more of the box it covers than of what lies around it, -1 to 1; where the image ends at the box,
            than of both together.
    """

    answer: Answer
    kind: Kind
    score: float


def contrast_window(bounds: Bounds) -> Window:
    """Return the window on a box: of its voxels where they are few, else of ``MOST_CELLS``, with a margin."""
    low, high = bounds
    sides = np.maximum(high - low, 1.0)
    cell = max(1.0, float((sides.prod() / MOST_CELLS) ** (1 / len(sides))))
    cells = np.ceil(sides / cell).astype(int) + 2 * MARGIN
    return Window.centred(tuple((low + high) / 2), tuple(cells * cell), tuple(cells))


def contrast_masks(
    window: Window, samples: NDArray[np.float32], inside: NDArray[np.bool_], bounds: Bounds
) -> list[ContrastMask]:
    """Return masks within a box: the likeliest of each kind of contrast, then the others.

    Args:
        window: See ``contrast_window``.
        samples: float32 (channels, *grid), one channel or three of colour, any range.
        inside: bool (*grid), False outside the image and where samples are no measurement.
        bounds: Of the box, in the image's edge coordinates.
    """
    low, high = ((b - np.array(window.start)) / np.array(window.scale) for b in bounds)
    box = Region(tuple(np.floor(low + 0.5).astype(int)), tuple(np.floor(high + 0.5).astype(int))).clip(window.grid)
    if box.is_empty:
        return []
    within = inside[box.slices]
    if not within.any():
        return []
    around = inside.copy()
    around[box.slices] = False
    if not around.any():
        around = inside
    # What lies outside is dark, as in the network's windows, and no sample that is no number may spread.
    samples = np.where(inside, samples, samples[:, inside].min())
    found = []
    for kind, values in contrast_maps(samples, max(box.shape)):
        part = values[box.slices]
        known = part[within]
        spread = float(known.max() - known.min())
        if not spread > FAINT * max(float(np.abs(known).max()), 1.0):
            continue
        threshold = otsu_threshold(known)
        mask = _without_specks((part > threshold) & within)
        if not mask.any() or mask.all():
            continue
        logits = np.full(window.grid, -1.0, dtype=np.float32)
        logits[box.slices] = np.where(mask, np.maximum(part - threshold, 1e-3 * spread), -np.abs(threshold - part))
        logits[box.slices] /= spread
        score = float(mask.mean() - (values[around] > threshold).mean())
        found.append(ContrastMask(Answer(window, logits, inside), kind, score))
    found.sort(key=lambda mask: -mask.score)
    likeliest = {mask.kind: mask for mask in reversed(found)}.values()
    first = sorted(likeliest, key=lambda mask: -mask.score)
    return [*first, *(mask for mask in found if mask not in first)]


def agrees(answer: Answer, prompts: Sequence[Prompt]) -> bool:
    """Return whether a mask holds the cells of all positive clicks and strokes, and none of the negative ones."""
    mask = answer.mask
    for prompt in prompts:
        if isinstance(prompt, Point | Scribble):
            for vertex in answer.window.to_grid(prompt).vertices():
                index = tuple(round(float(v)) for v in vertex[::-1])
                held = all(0 <= i < n for i, n in zip(index, mask.shape, strict=True)) and bool(mask[index])
                if held != prompt.positive:
                    return False
    return True


def otsu_threshold(values: NDArray[np.float32]) -> float:
    """Return the value that splits a histogram into two classes of the greatest variance between them.

    Args:
        values: Any shape, finite, not all equal.
    """
    counts, edges = np.histogram(values, BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    weighted = np.cumsum(counts * centres)
    above, total = below[-1] + counts[-1] - below, weighted[-1]
    between = (total * below / (below + above) - weighted[:-1]) ** 2 / np.maximum(below * above, 1.0)
    return float(edges[1 + int(np.argmax(between))])


def contrast_maps(samples: NDArray[np.float32], side: int) -> Iterator[tuple[Kind, NDArray[np.float32]]]:
    """Yield maps that are high on what an object may be, each with its opposite.

    Args:
        samples: float32 (channels, ...), one channel or three of colour.
        side: Cells of the longest side of what is looked at, which says how far its surroundings reach.
    """
    grey = samples.mean(axis=0)
    channels = [grey]
    if len(samples) == 3 and not (samples == samples[:1]).all():
        channels += [samples[0] - samples[2], samples[0] - samples[1]]
    for channel in channels:
        smooth = ndimage.gaussian_filter(channel, NOISE)
        local = smooth - ndimage.uniform_filter(channel, max(9, side // SURROUNDINGS))
        yield from (("brightness or colour", smooth), ("brightness or colour", -smooth))
        yield from (("surroundings", local), ("surroundings", -local))
    if grey.ndim == 2:
        yield from (("lines", line) for line in _ridges(grey))


def _ridges(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how much each cell lies on a bright line, and on a dark one; (y, x), 0 or more."""
    bright, dark = np.zeros_like(image), np.zeros_like(image)
    for width in WIDTHS:
        yy, xx, xy = (ndimage.gaussian_filter(image, width, order=order) for order in ((2, 0), (0, 2), (1, 1)))
        mean, spread = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
        # A derivative's height falls with the width.
        np.maximum(bright, (spread - mean) * width**2, out=bright)
        np.maximum(dark, (spread + mean) * width**2, out=dark)
    return bright, dark


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(parts.ravel())
    kept: NDArray[np.bool_] = (sizes >= SMALLEST_PART)[parts] & mask
    return kept
