"""The first prompts of a training sample in three dimensions, and the mask it starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bedside.core.prompts import Box, Point, Prompt, Scribble
from bedside.engines.window.encodings import DEFAULT, ENCODINGS, PromptEncoding
from bedside.simulate.boxes import jittered_box, tight_box
from bedside.simulate.clicks import first_click
from bedside.simulate.scribbles import lasso_region, simulate_scribble

SHARPNESS = (None, 8.0, 2.0)
"""How deep inside the object a first click lies, one drawn per sample; see ``simulate.components.pick_centre``."""
LARGEST_SHIFT = 2
"""Cells by which a degraded mask lies beside the object."""


def draw_start(
    truth: NDArray[np.uint8], mode: str, generator: np.random.Generator, encoding: PromptEncoding | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the previous mask (grid) and the painted prompts (channels, grid) that a sample starts from.

    Args:
        truth: uint8 (z, y, x), at least one cell set.
        mode: "box" for prompts that tell the extent, "wide" for marks that do not, "close" for a coarse mask.
        generator: Source of randomness.
        encoding: How prompts become channels; None for the painted ones.
    """
    previous = np.zeros(truth.shape, dtype=np.float32)
    prompts: list[Prompt] = []
    area = None
    if mode == "close":
        previous = degrade_volume(truth, generator)
        if generator.random() < 0.4 or not previous.any():
            prompts.append(tight_box(truth))
    elif mode == "wide":
        if generator.random() < 0.7:
            prompts.append(first_click(truth, generator, SHARPNESS[generator.integers(len(SHARPNESS))]))
        else:
            prompts.append(slice_scribble(truth, generator))
    else:
        area = _draw_extent(truth, prompts, generator)
    if mode != "close" and generator.random() < 0.08:
        previous = degrade_volume(truth, generator)
    if generator.random() < 0.1:
        prompts.append(first_click(truth, generator, 2.0))
    if mode != "box" and generator.random() < 0.2 and (click := beside(truth, generator)):
        prompts.append(click)
    return previous, (encoding or ENCODINGS.get(DEFAULT)).paint(prompts, truth.shape, area)


def _draw_extent(
    truth: NDArray[np.uint8], prompts: list[Prompt], generator: np.random.Generator
) -> NDArray[np.float32] | None:
    """Add a box to ``prompts``, or return the area of a lasso."""
    kind = generator.random()
    if kind < 0.12:
        area = slice_lasso(truth, generator)
        if area.any():
            return area
        # Around an object a cell wide an uneven outline can miss every cell.
        prompts.append(tight_box(truth))
        return None
    prompts.append(jitter(slice_box(truth, generator) if kind < 0.32 else tight_box(truth), generator))
    return None


def jitter(box: Box, generator: np.random.Generator) -> Box:
    """Return the box as it is (one in four), drawn somewhat off, or far too large; its thin axis stays as it is."""
    kind = generator.random()
    if kind < 0.25:
        return box
    moved = jittered_box(box, generator, 0.0, 0.35) if kind > 0.65 else jittered_box(box, generator, 0.05, 0.1)
    thin = [high - low <= 1 for low, high in zip(box.low, box.high, strict=True)]
    low = tuple(b if t else m for b, m, t in zip(box.low, moved.low, thin, strict=True))
    high = tuple(b if t else m for b, m, t in zip(box.high, moved.high, thin, strict=True))
    return replace(box, low=low, high=high)


def draw_slice(truth: NDArray[np.uint8], generator: np.random.Generator) -> tuple[int, int, NDArray[np.uint8]]:
    """Return an axis, a slice across it drawn in proportion to the object's area there, and the object on that
    slice.
    """
    axis = int(generator.integers(3))
    areas = truth.sum(axis=tuple(a for a in range(3) if a != axis), dtype=np.float64)
    index = int(generator.choice(len(areas), p=areas / areas.sum()))
    return axis, index, np.take(truth, index, axis=axis)


def slice_box(truth: NDArray[np.uint8], generator: np.random.Generator) -> Box:
    """Return a box one cell thick around the object on a slice."""
    axis, index, plane = draw_slice(truth, generator)
    flat = tight_box(plane)
    return Box(_lift(flat.low, axis, index), _lift(flat.high, axis, index + 1))


def slice_scribble(truth: NDArray[np.uint8], generator: np.random.Generator) -> Scribble:
    """Return a scribble on a slice."""
    axis, index, plane = draw_slice(truth, generator)
    flat = simulate_scribble(plane, generator)
    return replace(flat, points=tuple(_lift(p, axis, index) for p in flat.points))


def slice_lasso(truth: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return the area of a lasso on a slice, 0/1 on the grid."""
    axis, index, plane = draw_slice(truth, generator)
    area = np.zeros(truth.shape, dtype=np.float32)
    np.moveaxis(area, axis, 0)[index] = lasso_region(plane, generator, generator.uniform(0.03, 0.2))
    return area


def beside(truth: NDArray[np.uint8], generator: np.random.Generator) -> Point | None:
    """Return a negative click somewhere near the object, None where the draw hit the object."""
    cells = np.argwhere(truth)
    low, high = cells.min(axis=0) - 4, cells.max(axis=0) + 5
    place = np.clip(generator.integers(low, high), 0, np.array(truth.shape) - 1)
    if truth[tuple(place)]:
        return None
    return Point(tuple(float(c) for c in place[::-1]), positive=False)


def degrade_volume(truth: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a mask as another tool or a coarser window would have made it: blurred, shifted, uneven.

    Args:
        truth: uint8 (z, y, x).
        generator: Source of randomness.

    Returns:
        float32 0/1 of the same shape.
    """
    values = torch.from_numpy(truth.astype(np.float32))[None, None]
    step = [int(s) for s in generator.integers(1, 7, size=3)]
    coarse = F.avg_pool3d(values, step, ceil_mode=True, count_include_pad=False)
    soft = F.interpolate(coarse, truth.shape, mode="trilinear", align_corners=False)[0, 0]
    noise = smooth_noise(truth.shape[0], int(generator.integers(4, 13)), generator) * generator.uniform(0.0, 0.5)
    mask = (soft + noise > generator.uniform(0.3, 0.7)).numpy()
    shift = generator.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, size=3)
    # What comes in at a border continues what is there: an object that the window cuts goes on beyond it.
    padded = np.pad(mask, LARGEST_SHIFT, mode="edge")
    begin = LARGEST_SHIFT - shift
    part = tuple(slice(int(b), int(b) + n) for b, n in zip(begin, truth.shape, strict=True))
    return padded[part].astype(np.float32)


def smooth_noise(grid: int, knots: int, generator: np.random.Generator) -> Tensor:
    """Return a smooth random field (grid, grid, grid), uniform from -1 to 1 at ``knots`` cubed places."""
    coarse = torch.tensor(generator.uniform(-1, 1, size=(1, 1, knots, knots, knots)), dtype=torch.float32)
    return F.interpolate(coarse, (grid,) * 3, mode="trilinear", align_corners=True)[0, 0]


def _lift(position: tuple[float, ...], axis: int, value: float) -> tuple[float, ...]:
    """Return a position (x, y) on a slice across ``axis`` (array order) as one in the volume, (x, y, z)."""
    drop = 2 - axis
    return (*position[:drop], float(value), *position[drop:])
