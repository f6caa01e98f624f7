"""The first prompts of samples of volumes and the masks they start from, many at once.

The rules are those of ``sampling.volume_starts``; what is drawn on a slice is drawn as ``plane_starts`` draws it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.device import morphology
from bedside.engines.window.sampling.device.painting import paint_boxes, paint_points
from bedside.engines.window.sampling.device.plane_starts import (
    LINE,
    MASK_NOISE,
    RIDGE,
    RING,
    SHARPNESS,
    STROKE_SHARES,
    box_moves,
    coarsening_matrices,
    first_clicks,
)
from bedside.engines.window.sampling.device.plane_windows import BOX, CLOSE, WIDE
from bedside.engines.window.sampling.device.records import Arrays
from bedside.engines.window.sampling.device.separable import along_axes, knot_matrices
from bedside.engines.window.sampling.device.volume_slices import Slices, paint_lassos, paint_scribbles
from bedside.engines.window.sampling.volume_augmentation import AXES
from bedside.engines.window.sampling.volume_starts import LARGEST_SHIFT
from bedside.imaging.paint import CHANNELS
from bedside.train.hashing import Draws, uniform_cells

LASSO, FLAT_BOX = -2, -1
"""Kinds of prompts on a slice beside the scribbles of ``plane_starts``."""
MARGIN = 4
"""Cells by which a negative click may lie outside the object's box."""
COARSEST_STEP = 6
FEWEST_KNOTS, MOST_KNOTS = 4, 12
"""Places along each side at which the unevenness of a degraded mask is drawn."""

Table = Mapping[str, Tensor]


def draw_volume_starts(mode: NDArray[np.int64], draws: Draws) -> Arrays:
    """Return which prompts samples start with.

    Returns:
        Rows are int64 numbers of samples; what follows rows has one entry for each.

        boxed: Rows with a box around the whole object; box_moves: float32 (boxed, 2, 3), by which its lower and upper
            faces stand off.
        sliced: Rows with a prompt on a slice; slice_axis: int64 (sliced,), across which it is cut; slice_choice:
            float32 (sliced,), share of the object's volume that lies on slices before it; flats, lassos, lines,
            ridges, rings: which of ``sliced`` have a box, a lasso, or one of the scribbles of
            ``simulate.scribbles`` there.
        flat_moves: float32 (flats, 2, 3), as ``box_moves``.
        lasso: float32 (lassos, 2), unevenness and margin in parts of the radius.
        ridge_ends: float32 (ridges, 2), shares left out at both ends.
        ring_level, ring_start, ring_length: float32 (rings,), depth in parts of the deepest, and angles.
        refined: Rows that refine a coarse mask; refined_boxed: bool (refined,), whether with a box.
        clicked: Rows with clicks on the object; first_clicks, further_clicks: which of ``clicked`` have
            a first or a further one; sharpness: float32 (first_clicks,), see ``plane_starts.SHARPNESS``.
        beside: Rows with a negative click; beside_place: float32 (beside, 3), where in the object's box and around.
        degraded: Rows that start from a coarse mask; coarse, shift: int64 (degraded, 3), cells of the coarser window
            and shifts along each axis; knots: int64 (degraded,), of the noise; rough: float32 (degraded, 2), its
            strength, and the threshold.
    """
    kind, clicked = draws.uniform(), (mode == WIDE) & draws.chance(0.7)
    stroke = LINE + np.searchsorted(np.cumsum(STROKE_SHARES)[:-1], draws.uniform(), side="right")
    on_slice = np.where(mode == BOX, np.where(kind < 0.12, LASSO, FLAT_BOX), stroke)
    sliced = np.flatnonzero(((mode == BOX) & (kind < 0.32)) | ((mode == WIDE) & ~clicked))
    boxed = np.flatnonzero((mode == BOX) & (kind >= 0.32))
    axis, choice = draws.below(AXES), draws.uniform()
    moves = box_moves(draws, AXES, jittered=np.ones(len(mode), dtype=np.bool_))
    further, sharpness = draws.chance(0.1), np.array(SHARPNESS, dtype=np.float32)[draws.below(len(SHARPNESS))]
    beside, place = np.flatnonzero((mode != BOX) & draws.chance(0.2)), draws.uniforms(AXES)
    refined, refined_boxed = np.flatnonzero(mode == CLOSE), draws.chance(0.4)
    degraded = np.flatnonzero((mode == CLOSE) | draws.chance(0.08))
    any_click = np.flatnonzero(clicked | further)
    return {
        "boxed": boxed,
        "box_moves": moves[boxed],
        "sliced": sliced,
        "slice_axis": axis[sliced],
        "slice_choice": choice[sliced].astype(np.float32),
        **_draw_on_slices(sliced, on_slice[sliced], moves, draws),
        "refined": refined,
        "refined_boxed": refined_boxed[refined],
        "clicked": any_click,
        "first_clicks": np.flatnonzero(clicked[any_click]),
        "further_clicks": np.flatnonzero(further[any_click]),
        "sharpness": sharpness[clicked],
        "beside": beside,
        "beside_place": place[beside].astype(np.float32),
        "degraded": degraded,
        **_draw_degradation(degraded, draws),
    }


def _draw_on_slices(
    sliced: NDArray[np.int64], kind: NDArray[np.int64], moves: NDArray[np.float32], draws: Draws
) -> Arrays:
    flats, lassos, lines, ridges, rings = (np.flatnonzero(kind == k) for k in (FLAT_BOX, LASSO, LINE, RIDGE, RING))
    looseness = draws.uniform(0.03, 0.2)
    lasso = np.stack([looseness, draws.uniform(0.0, 2.0) * looseness], axis=1)
    ends, level = draws.uniforms(2, 0.05, 0.3), draws.uniform(0.2, 0.5)
    start, length = draws.uniform(-np.pi, np.pi), draws.uniform(0.5, 1.5) * np.pi
    return {
        "flats": flats,
        "flat_moves": moves[sliced[flats]],
        "lassos": lassos,
        "lasso": lasso[sliced[lassos]].astype(np.float32),
        "lines": lines,
        "ridges": ridges,
        "ridge_ends": ends[sliced[ridges]].astype(np.float32),
        "rings": rings,
        "ring_level": level[sliced[rings]].astype(np.float32),
        "ring_start": start[sliced[rings]].astype(np.float32),
        "ring_length": length[sliced[rings]].astype(np.float32),
    }


def _draw_degradation(degraded: NDArray[np.int64], draws: Draws) -> Arrays:
    coarse = np.stack([1 + draws.below(COARSEST_STEP) for _ in range(AXES)], axis=1)
    shift = np.stack([draws.below(2 * LARGEST_SHIFT + 1) - LARGEST_SHIFT for _ in range(AXES)], axis=1)
    knots = FEWEST_KNOTS + draws.below(MOST_KNOTS - FEWEST_KNOTS + 1)
    rough = np.stack([draws.uniform(0.0, 0.5), draws.uniform(0.3, 0.7)], axis=1)
    return {
        "coarse": coarse[degraded],
        "shift": shift[degraded],
        "knots": knots[degraded],
        "rough": rough[degraded].astype(np.float32),
    }


def start_volumes(table: Table, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the previous masks and painted prompts of samples.

    Args:
        table: As ``draw_volume_starts`` gives it, with "key".
        truth: bool (batch, grid, grid, grid).

    Returns:
        float32 (batch, grid, grid, grid) and (batch, 4, grid, grid, grid), see ``imaging.paint.CHANNELS``.
    """
    keys = table["key"]
    previous = torch.zeros(truth.shape, device=truth.device)
    if len(rows := table["degraded"]):
        previous.index_copy_(0, rows, degrade_volumes(truth[rows], table, keys[rows]))
    painted = torch.zeros((len(truth), len(CHANNELS), *truth.shape[1:]), device=truth.device)
    if len(rows := table["boxed"]):
        painted[:, 0].index_copy_(0, rows, jittered_boxes(truth[rows], table["box_moves"]))
    if len(rows := table["refined"]):
        # Where nothing is left of the coarse mask, the box says where the object is.
        needed = table["refined_boxed"] | ~_any(previous[rows] > 0)
        painted[:, 0].index_copy_(0, rows, tight_boxes(truth[rows]) * _by_cell(needed))
    if len(table["sliced"]):
        _prompt_slices(painted, table, truth)
    if len(rows := table["clicked"]):
        _click(painted[:, 2], rows, table, truth, keys[rows])
    if len(rows := table["beside"]):
        painted[:, 3].index_copy_(0, rows, clicks_beside(truth[rows], table["beside_place"]))
    return previous, painted


def _prompt_slices(painted: Tensor, table: Table, truth: Tensor) -> None:
    """Paint boxes, lassos and scribbles on slices into (batch, 4, grid, grid, grid)."""
    rows = table["sliced"]
    truth, keys = truth[rows], table["key"][rows]
    slices = Slices.pick(truth, table["slice_axis"], table["slice_choice"])
    if len(chosen := table["flats"]):
        flat = truth[chosen] & slices.of(chosen).cells
        painted[:, 0].index_copy_(0, rows[chosen], jittered_boxes(flat, table["flat_moves"]))
    if len(chosen := table["lassos"]):
        areas = paint_lassos(slices.of(chosen), truth[chosen], table["lasso"], keys[chosen])
        # Around an object a cell wide an uneven outline can miss every cell.
        boxes = tight_boxes(truth[chosen]) * _by_cell(~_any(areas > 0))
        painted[:, 0].index_copy_(0, rows[chosen], torch.maximum(areas, boxes))
    for chosen, strokes in paint_scribbles(slices, truth, table, keys):
        painted[:, 2].index_copy_(0, rows[chosen], strokes)


def _click(channel: Tensor, rows: Tensor, table: Table, truth: Tensor, keys: Tensor) -> None:
    """Paint clicks into (batch, grid, grid, grid), each in its object's largest part."""
    grid = truth.shape[1:]
    depth = morphology.depth(morphology.largest_part(truth[rows]))
    if len(chosen := table["first_clicks"]):
        places = first_clicks(depth[chosen], table["sharpness"], keys[chosen])
        channel.index_copy_(0, rows[chosen], paint_points(places, grid))
    if len(chosen := table["further_clicks"]):
        sharpness = torch.full((len(chosen),), SHARPNESS[-1], device=depth.device)
        # With the keys of first clicks both would follow the same noise.
        places = first_clicks(depth[chosen], sharpness, keys[chosen] ^ 1)
        both = torch.maximum(channel[rows[chosen]], paint_points(places, grid))
        channel.index_copy_(0, rows[chosen], both)


def tight_boxes(truth: Tensor) -> Tensor:
    """Return painted boxes around masks (batch, *grid)."""
    return paint_boxes(*morphology.bounds(truth), truth.shape[1:])


def jittered_boxes(truth: Tensor, moves: Tensor) -> Tensor:
    """Return painted boxes around masks (batch, *grid), their faces moved by parts of the side; thin axes stay as they
    are.
    """
    low, high = morphology.bounds(truth)
    side = high - low
    side = side * (side > 1)
    low, high = low - moves[:, 0] * side, high + moves[:, 1] * side
    return paint_boxes(low, torch.maximum(high, low + 1), truth.shape[1:])


def clicks_beside(truth: Tensor, place: Tensor) -> Tensor:
    """Return painted clicks near masks (batch, *grid); nothing where the place is the object's.

    Args:
        truth: bool.
        place: float32 (batch, axes), 0 to 1, in the object's box with a margin.
    """
    low, high = morphology.bounds(truth)
    cell = low - MARGIN + (place * (high - low + 2 * MARGIN)).floor()
    cell = cell.clamp(0, truth.shape[1] - 1).long()
    samples = torch.arange(len(truth), device=truth.device)
    free = ~truth[(samples, *cell.unbind(1))] & _any(truth)
    return paint_points(cell, truth.shape[1:]) * _by_cell(free)


def degrade_volumes(truth: Tensor, table: Table, keys: Tensor) -> Tensor:
    """Return masks as another tool or a coarser window would have made them, see ``volume_starts.degrade_volume``.

    Args:
        truth: bool (batch, grid, grid, grid).
        table: "coarse", "shift", "knots" and "rough" of ``draw_volume_starts``.
        keys: int64 (batch,).

    Returns:
        float32 0/1 of the same shape.
    """
    grid = truth.shape[1]
    soft = along_axes(truth.float(), coarsening_matrices(grid, COARSEST_STEP, truth.device)[table["coarse"] - 1])
    knots = 2 * uniform_cells(keys, MASK_NOISE, MOST_KNOTS**AXES).view(-1, *(MOST_KNOTS,) * AXES) - 1
    lines = knot_matrices(grid, FEWEST_KNOTS, MOST_KNOTS, truth.device)[table["knots"] - FEWEST_KNOTS]
    noise = along_axes(knots, lines[:, None].expand(-1, AXES, -1, -1))
    strength, threshold = (_by_cell(values) for values in table["rough"].unbind(1))
    mask = soft + noise * strength > threshold
    cells = torch.arange(grid, device=truth.device)
    for axis in range(AXES):
        # What comes in at a border continues what is there: an object that the window cuts goes on beyond it.
        index = (cells - table["shift"][:, axis, None]).clamp(0, grid - 1)
        shape = [len(mask), *(grid if a == axis else 1 for a in range(AXES))]
        mask = mask.gather(1 + axis, index.view(shape).expand_as(mask))
    return mask.float()


def _any(mask: Tensor) -> Tensor:
    """Return whether anything is set, bool (batch,)."""
    return mask.flatten(1).any(dim=1)


def _by_cell(values: Tensor) -> Tensor:
    """Return values (batch,) shaped to be broadcast over the grid."""
    return values.view(-1, *(1,) * AXES)
