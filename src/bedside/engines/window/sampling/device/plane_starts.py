"""The first prompts of samples of images and the masks they start from, many at once.

The rules are those of ``sampling.sampler`` and of ``simulate``; where a rule follows an outline from pixel to pixel,
which one sample after the other would have to do, the cells along it are marked instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from bedside.engines.window.sampling.device import morphology
from bedside.engines.window.sampling.device.painting import paint_boxes, paint_points, paint_strokes, thicken
from bedside.engines.window.sampling.device.plane_windows import BOX, CLOSE, WIDE
from bedside.engines.window.sampling.device.records import Arrays
from bedside.imaging.paint import CHANNELS
from bedside.train.hashing import Draws, normal_cells, uniform_cells

SHARPNESS = (1e4, 8.0, 2.0)
"""How deep inside the object a first click lies, one drawn per sample; the first is the deepest cell of all."""
CLICK, LINE, RIDGE, RING = range(4)
"""Kinds of marks: a click, and the scribbles of ``simulate.scribbles``."""
STROKE_SHARES = (4 / 9, 2 / 9, 3 / 9)
RIDGE_POINTS = 12
NEAR = 12
"""Steps from the object within which a negative click lies."""
COARSEST_STEP = 8
MARK, OTHER_END, OUTSIDE, LASSO_NOISE, MASK_NOISE = range(10, 15)
"""Streams of noise."""

Table = Mapping[str, Tensor]


def draw_plane_starts(mode: NDArray[np.int64], draws: Draws) -> Arrays:
    """Return which prompts samples start with.

    Returns:
        Rows are int64 numbers of samples; what follows rows has one entry for each.

        boxed: Rows with a box; box_moves: float32 (boxed, 2, 2), by which its lower and upper faces stand off.
        marked: Rows with a click or scribble; clicks, lines, ridges, rings: which of ``marked`` those are.
        sharpness: float32 (clicks,), see ``SHARPNESS``; ridge_ends: float32 (ridges, 2), shares left out at both ends.
        ring_level, ring_start, ring_length: float32 (rings,), depth in parts of the deepest, and angles.
        lassoed: Rows with a lasso; lasso: float32 (lassoed, 2), unevenness and margin in parts of the radius.
        negative: Rows with a negative click beside the object.
        degraded: Rows that start from a coarse mask; coarse: int64 (degraded, 3) step and shifts; rough: float32
            (degraded, 4), blur, blur of the noise, its strength, and threshold.
    """
    boxes, wide, close = mode == BOX, mode == WIDE, mode == CLOSE
    lasso = boxes & draws.chance(0.1)
    box = (boxes & ~lasso) | (close & draws.chance(0.6))
    moves = box_moves(draws, 2, jittered=boxes)
    click = wide & draws.chance(0.75)
    mark = wide | (boxes & draws.chance(0.1))
    stroke = LINE + np.searchsorted(np.cumsum(STROKE_SHARES)[:-1], draws.uniform(), side="right")
    marked = np.flatnonzero(mark)
    kind = np.where(click, CLICK, stroke)[marked]
    sharpness = np.array(SHARPNESS, dtype=np.float32)[draws.below(3)]
    ends, level = draws.uniforms(2, 0.05, 0.3), draws.uniform(0.2, 0.5)
    start, length = draws.uniform(-np.pi, np.pi), draws.uniform(0.5, 1.5) * np.pi
    looseness = draws.uniform(0.03, 0.2)
    margin = draws.uniform(0.0, 2.0) * looseness
    negative = ~boxes & draws.chance(0.2)
    degraded = np.flatnonzero(close | draws.chance(0.08))
    clicks, lines, ridges, rings = (np.flatnonzero(kind == k) for k in (CLICK, LINE, RIDGE, RING))
    lassoed = np.flatnonzero(lasso)
    return {
        "boxed": np.flatnonzero(box),
        "box_moves": moves[box],
        "marked": marked,
        "clicks": clicks,
        "lines": lines,
        "ridges": ridges,
        "rings": rings,
        "sharpness": sharpness[marked[clicks]],
        "ridge_ends": ends[marked[ridges]].astype(np.float32),
        "ring_level": level[marked[rings]].astype(np.float32),
        "ring_start": start[marked[rings]].astype(np.float32),
        "ring_length": length[marked[rings]].astype(np.float32),
        "lassoed": lassoed,
        "lasso": np.stack([looseness, margin], axis=1)[lassoed].astype(np.float32),
        "negative": np.flatnonzero(negative),
        "degraded": degraded,
        **_draw_degradation(draws, degraded),
    }


def box_moves(draws: Draws, axes: int, *, jittered: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (samples, 2, axes), by which faces of boxes stand off: not at all (one in four), a little, or far.

    A tight box alone already explains most of a mask; loose ones make the network look at the image.
    """
    kind, share = draws.uniform()[:, None], draws.uniforms(2 * axes)
    moved = np.where(kind > 0.65, 0.35 * share, np.where(kind > 0.25, 0.15 * share - 0.05, 0.0))
    moved[~jittered] = 0.0
    return moved.reshape(-1, 2, axes).astype(np.float32)


def _draw_degradation(draws: Draws, degraded: NDArray[np.int64]) -> Arrays:
    step, shifts = 1 + draws.below(COARSEST_STEP), np.stack([draws.below(7) - 3, draws.below(7) - 3], axis=1)
    rough = [draws.uniform(*r) for r in ((0.3, 4.0), (2.0, 10.0), (0.0, 0.2), (0.3, 0.7))]
    return {
        "coarse": np.concatenate([step[:, None], shifts], axis=1)[degraded],
        "rough": np.stack(rough, axis=1)[degraded].astype(np.float32),
    }


def start_planes(table: Table, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return the previous masks and painted prompts of samples.

    Args:
        table: As ``draw_plane_starts`` gives it, with "key".
        truth: bool (batch, *grid).

    Returns:
        float32 (batch, *grid) and (batch, 4, *grid), see ``imaging.paint.CHANNELS``.
    """
    keys = table["key"]
    painted = torch.zeros((len(truth), len(CHANNELS), *truth.shape[1:]), device=truth.device)
    if len(rows := table["boxed"]):
        painted[:, 0].index_copy_(0, rows, jittered_boxes(truth[rows], table["box_moves"]))
    if len(rows := table["lassoed"]):
        painted[:, 0].index_copy_(0, rows, lasso_areas(truth[rows], table["lasso"], keys[rows]).float())
    if len(rows := table["marked"]):
        painted[:, 2].index_copy_(0, rows, _marks(truth[rows], table, keys[rows]))
    if len(rows := table["negative"]):
        painted[:, 3].index_copy_(0, rows, clicks_beside(truth[rows], keys[rows]))
    previous = torch.zeros(truth.shape, device=truth.device)
    if len(rows := table["degraded"]):
        previous.index_copy_(0, rows, degrade_planes(truth[rows], table["coarse"], table["rough"], keys[rows]))
    return previous, painted


def jittered_boxes(truth: Tensor, moves: Tensor) -> Tensor:
    """Return painted boxes around masks (batch, *grid), their faces moved by parts of the side; see
    ``simulate.boxes``.
    """
    low, high = morphology.bounds(truth)
    side = high - low
    low, high = low - moves[:, 0] * side, high + moves[:, 1] * side
    return paint_boxes(low, torch.maximum(high, low + 1), truth.shape[1:])


def first_clicks(depth: Tensor, sharpness: Tensor, keys: Tensor) -> Tensor:
    """Return positions (batch, axes) drawn by depth to the power ``sharpness``; see
    ``simulate.components.pick_centre``.
    """
    flat = depth.flatten(1)
    weights = (flat / flat.amax(dim=1, keepdim=True).clamp(min=1)) ** sharpness[:, None]
    return morphology.pick_cells(weights.view_as(depth), uniform_cells(keys, MARK, flat.shape[1]))


def _marks(truth: Tensor, table: Table, keys: Tensor) -> Tensor:
    """Return painted clicks and scribbles, each in its object's largest part."""
    grid = truth.shape[1:]
    part = morphology.largest_part(truth)
    depth = morphology.depth(part)
    painted = torch.zeros(truth.shape, device=truth.device)
    if len(rows := table["clicks"]):
        places = first_clicks(depth[rows], table["sharpness"], keys[rows])
        painted.index_copy_(0, rows, paint_points(places, grid))
    if len(rows := table["lines"]):
        painted.index_copy_(0, rows, paint_strokes(line_ends(part[rows], keys[rows]), grid))
    if len(rows := table["ridges"]):
        painted.index_copy_(0, rows, ridge_strokes(depth[rows], table["ridge_ends"]))
    if len(rows := table["rings"]):
        angles = table["ring_start"], table["ring_length"]
        painted.index_copy_(0, rows, ring_strokes(depth[rows], table["ring_level"], *angles, keys[rows]))
    return painted


def line_ends(part: Tensor, keys: Tensor) -> Tensor:
    """Return two random cells of each mask (batch, *grid): float32 (batch, 2, axes)."""
    cells = part[0].numel()
    ends = [morphology.pick_cells(part.float(), uniform_cells(keys, stream, cells)) for stream in (MARK, OTHER_END)]
    return torch.stack(ends, dim=1).float()


def ridge_strokes(depth: Tensor, ends: Tensor) -> Tensor:
    """Return painted strokes through the deep inside of objects; arguments as for ``ridge_points``."""
    return paint_strokes(ridge_points(depth, ends), depth.shape[1:])


def ridge_points(depth: Tensor, ends: Tensor) -> Tensor:
    """Return strokes through the deep inside of objects, see ``simulate.scribbles.centre_scribble``.

    Args:
        depth: float32 (batch, y, x), of one connected part each.
        ends: float32 (batch, 2), shares of the length left out at both ends.

    Returns:
        float32 (batch, ``RIDGE_POINTS``, 2), (y, x) with the centre of the first cell at 0.
    """
    low, high = morphology.bounds(depth > 0)
    wide = (high - low)[:, 1] > (high - low)[:, 0]
    profile = torch.where(wide[:, None, None], depth.transpose(1, 2), depth)
    present = profile.amax(dim=2) > 0
    start = present.to(torch.uint8).argmax(dim=1)
    # Of nothing the stroke has a length, too, so that no index lies beside the grid.
    length = present.sum(dim=1).clamp(min=1)
    # Weighting by a high power of the depth follows the ridge yet changes smoothly from row to row.
    weight = profile.square().square()
    column = torch.arange(profile.shape[2], dtype=torch.float32, device=depth.device)
    centre = (weight @ column) / weight.sum(dim=2).clamp(min=1e-6)
    sigma = (length / 12).clamp(min=1.0)
    away = (column[:, None] - column[None]).square()[None] / sigma.square()[:, None, None]
    smooth = (-0.5 * away).exp() * present[:, None]
    centre = (smooth @ centre[..., None])[..., 0] / smooth.sum(dim=2).clamp(min=1e-6)
    first = (ends[:, 0] * (length - 1)).floor()
    last = length - 1 - (ends[:, 1] * (length - 1)).floor()
    share = torch.linspace(0, 1, RIDGE_POINTS, device=depth.device)
    rows = (start[:, None] + (first[:, None] + share * (last - first)[:, None]).round()).long()
    points = torch.stack([rows.float(), centre.gather(1, rows)], dim=2)
    return torch.where(wide[:, None, None], points.flip(2), points)


def ring_strokes(depth: Tensor, level: Tensor, start: Tensor, length: Tensor, keys: Tensor) -> Tensor:
    """Return painted strokes along the inside of objects' borders; arguments as for ``ring_cells``."""
    return thicken(ring_cells(depth, level, start, length, keys))


def ring_cells(depth: Tensor, level: Tensor, start: Tensor, length: Tensor, keys: Tensor) -> Tensor:
    """Return bool, cells along the inside of objects' borders, see ``simulate.scribbles.contour_scribble``.

    Args:
        depth: float32 (batch, y, x), of one connected part each.
        level: float32 (batch,), in parts of the largest depth.
        start: float32 (batch,), angle about the ring's centre.
        length: float32 (batch,), of the part of the round that is drawn, as an angle.
        keys: int64 (batch,).
    """
    depth_level = level[:, None, None] * depth.amax(dim=(1, 2), keepdim=True)
    ring = (depth >= depth_level) & (depth < depth_level + 1)
    count = ring.sum(dim=(1, 2)).clamp(min=1)
    y, x = (torch.arange(n, dtype=torch.float32, device=depth.device) for n in depth.shape[1:])
    offset_y = y[:, None] - ((ring * y[:, None]).sum(dim=(1, 2)) / count)[:, None, None]
    offset_x = x[None] - ((ring * x[None]).sum(dim=(1, 2)) / count)[:, None, None]
    turned = torch.remainder(torch.atan2(offset_y, offset_x) - start[:, None, None], 2 * math.pi)
    kept = ring & (turned < length[:, None, None])
    # Where the part drawn holds no cell of the ring, one cell of the object does.
    fallback = morphology.pick_cells(depth + 1e3 * ring, uniform_cells(keys, MARK, depth[0].numel()))
    rows, columns = (torch.arange(n, device=depth.device) for n in depth.shape[1:])
    dot = (rows[:, None] == fallback[:, :1, None]) & (columns == fallback[:, 1:, None])
    return torch.where(kept.any(dim=2).any(dim=1)[:, None, None], kept, dot)


def lasso_areas(truth: Tensor, lasso: Tensor, keys: Tensor) -> Tensor:
    """Return bool, areas inside lassos drawn around masks (batch, y, x) in a hurry, see
    ``simulate.scribbles.lasso_region``.

    Args:
        truth: bool (batch, y, x).
        lasso: float32 (batch, 2), unevenness and margin in parts of the object's radius.
        keys: int64 (batch,).
    """
    radius = (truth.sum(dim=(1, 2)) / math.pi).sqrt()[:, None, None]
    outside = morphology.squared_distance(~truth, border=False).sqrt()
    signed = outside - morphology.squared_distance(truth, border=False).sqrt()
    noise = smooth_cells(keys, LASSO_NOISE, truth.shape[1], (radius[:, 0, 0] / 2).clamp(min=2.0))
    unevenness, margin = (lasso[:, n, None, None] * radius for n in (0, 1))
    region = signed < margin + noise * unevenness
    return morphology.fill_holes(region | (signed < -0.5 * radius))


def smooth_cells(keys: Tensor, stream: int, grid: int, sigma: Tensor) -> Tensor:
    """Smooth noise (batch, grid, grid) of standard deviation 1; ``sigma`` (batch,) is its Gaussian's in cells."""
    white = normal_cells(keys, stream, grid * grid).view(-1, grid, grid)
    blur = gaussian_matrix(grid, sigma)
    noise = blur @ white @ blur.transpose(1, 2)
    return noise / noise.std(dim=(1, 2), correction=0, keepdim=True).clamp(min=1e-6)


def gaussian_matrix(size: int, sigma: Tensor) -> Tensor:
    """Return matrices (batch, size, size) that blur a line of cells, mirrored at its ends."""
    cells = torch.arange(size, dtype=torch.float32, device=sigma.device)
    apart = cells[:, None] - cells[None]
    mirrored = cells[:, None] + cells[None] + 1
    scale = (-0.5 / sigma.square())[:, None, None]
    images = (apart, mirrored, 2 * size - mirrored)
    weights = torch.stack([(scale * d.square()).exp() for d in images]).sum(dim=0)
    return weights / weights.sum(dim=2, keepdim=True)


def clicks_beside(truth: Tensor, keys: Tensor) -> Tensor:
    """Return painted clicks in the background near masks (batch, y, x); nothing where there is none."""
    near = truth
    for _ in range(NEAR):
        grown = [F.pad(near, [0, 0, 1, 1]), F.pad(near, [1, 1])]
        near = near | grown[0][:, 2:] | grown[0][:, :-2] | grown[1][:, :, 2:] | grown[1][:, :, :-2]
    depth = morphology.depth(morphology.largest_part(near & ~truth))
    places = morphology.pick_cells(depth, uniform_cells(keys, OUTSIDE, depth[0].numel()))
    exists = depth.amax(dim=(1, 2), keepdim=True) > 0
    return paint_points(places, truth.shape[1:]) * exists


def degrade_planes(truth: Tensor, coarse: Tensor, rough: Tensor, keys: Tensor) -> Tensor:
    """Return masks as another tool or a coarser window would have made them, see ``starts.degrade_mask``.

    Args:
        truth: bool (batch, grid, grid).
        coarse: int64 (batch, 3), cells of the coarser window, and shifts along y and x.
        rough: float32 (batch, 4), blur, blur of the noise, its strength, and threshold.
        keys: int64 (batch,).

    Returns:
        float32 0/1 of the same shape.
    """
    grid = truth.shape[1]
    steps = coarsening_matrices(grid, COARSEST_STEP, truth.device)
    change = gaussian_matrix(grid, rough[:, 0]) @ steps[coarse[:, 0] - 1]
    values = change @ truth.float() @ change.transpose(1, 2)
    noise = smooth_cells(keys, MASK_NOISE, grid, rough[:, 1]) * rough[:, 2, None, None]
    mask = values + noise > rough[:, 3, None, None]
    cells = torch.arange(grid, device=truth.device)
    for axis in (1, 2):
        index = (cells - coarse[:, axis, None]) % grid
        shape = [len(mask), 1, 1]
        shape[axis] = grid
        mask = mask.gather(axis, index.view(shape).expand_as(mask))
    return mask.float()


@lru_cache(maxsize=8)
def coarsening_matrices(grid: int, coarsest: int, device: torch.device) -> Tensor:
    """Return (coarsest, grid, grid): a line of cells averaged over 1, 2, ... cells and interpolated back."""
    identity = torch.eye(grid, device=device)[:, None]
    changed = []
    for step in range(1, coarsest + 1):
        pooled = F.avg_pool1d(identity, step, ceil_mode=True)
        changed.append(F.interpolate(pooled, grid, mode="linear", align_corners=False)[:, 0].T)
    return torch.stack(changed)
