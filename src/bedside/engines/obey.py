"""Prompts take effect where they are put: what the network says there gives way to what the user said.

A network is asked to follow a correction and mostly does. Here it is made certain, in two steps. On the network's grid
the logits around a click are lifted or lowered as far as the click itself needs, fading out over the brush that was
painted for it, so that the mask bends and keeps a smooth border. On the image's voxels then every click, stroke and
negative area gets its own voxels, whatever resampling made of it. Later prompts overrule earlier ones, and a mask that
was given overrules all that came before it: a network that cannot draw it changes no more of it than its clicks touch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.imaging.paint import CLICK_RADIUS, click_values, covered
from bedside.imaging.window import Window

MARGIN = 1.0
"""Logit, in the direction of the prompt, that the place of a prompt gets at least."""
COVERED = 0.5
"""Painted value from which a cell belongs to a stroke or an area."""
KNOWN_AGAIN = 0.3
"""Overlap (intersection over union) with a given mask below which the network draws another thing."""
TOUCH = 2
"""Voxels from a click within which a change belongs to it."""
REACH = 2.0
"""How far a change reaches from its click, in parts of how deep the given mask is where it is thickest."""


def prompts_in_force(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Return those whose place the mask must obey: clicks, strokes and negative areas since the newest given mask."""
    newest = max((n for n, p in enumerate(prompts) if isinstance(p, InitialMask)), default=-1)
    return [p for p in prompts[newest + 1 :] if isinstance(p, Point | Scribble) or not p.positive]


def bend_logits(
    logits: NDArray[np.float32], prompts: Sequence[Prompt], radius: float = CLICK_RADIUS
) -> NDArray[np.float32]:
    """Return the logits with the sign of every prompt at its place.

    Args:
        logits: float32 on a window's grid.
        prompts: In the grid's coordinates, oldest first, see ``prompts_in_force``.
        radius: Cells about a click over which the bend fades out: those of the brush that was painted.

    Returns:
        float32 of the same shape; the array itself where the network obeyed already.
    """
    bent = logits
    for clicks, prompt in _runs(prompts):
        if clicks:
            bent = _bend_at(bent, clicks, radius)
        if prompt is None:
            continue
        sign = 1.0 if prompt.positive else -1.0
        block, values = _covered(prompt, logits.shape)
        missing = (values >= COVERED) & (sign * bent[block] < MARGIN)
        if missing.any():
            bent = logits.copy() if bent is logits else bent
            bent[block][missing] = sign * MARGIN
    return bent


def _covered(prompt: Prompt, shape: Sequence[int]) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
    assert isinstance(prompt, Box | Lasso | Scribble)
    return covered(prompt, shape)


def _runs(prompts: Sequence[Prompt]) -> Iterator[tuple[list[Point], Prompt | None]]:
    """Yield prompts in their order: clicks that follow one another together, with the other prompt that ends them."""
    clicks: list[Point] = []
    for prompt in prompts:
        if isinstance(prompt, Point):
            clicks.append(prompt)
        else:
            yield clicks, prompt
            clicks = []
    yield clicks, None


def _cells(clicks: Sequence[Point], shape: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the cells (n, axes) in array order that those of some clicks lie in which lie in a grid, and their signs.

    Args:
        clicks: In the grid's coordinates.
        shape: Cells along each axis.
    """
    cells = np.floor(np.array([c.position[::-1] for c in clicks]) + 0.5).astype(np.int64)
    held = ((cells >= 0) & (cells < np.array(shape))).all(axis=1)
    return cells[held], np.array([c.positive for c in clicks])[held]


def _bend_at(logits: NDArray[np.float32], clicks: Sequence[Point], radius: float) -> NDArray[np.float32]:
    cells, positive = _cells(clicks, logits.shape)
    signs = np.where(positive, 1.0, -1.0)
    near, bent, first = int(np.ceil(radius)), logits, 0
    while True:
        # Each bends what those before it left, so that the rest is looked at again after each.
        lacking = MARGIN - signs[first:] * bent[tuple(cells[first:].T)].astype(np.float64)
        disobeyed = np.flatnonzero(lacking > 0)
        if not len(disobeyed):
            return bent
        if bent is logits:
            bent = logits.copy()
        number = first + int(disobeyed[0])
        block = tuple(
            slice(max(0, c - near), min(n, c + near + 1)) for c, n in zip(cells[number], logits.shape, strict=True)
        )
        offsets = [
            np.arange(s.start, s.stop, dtype=np.float32) - np.float32(c)
            for s, c in zip(block, cells[number], strict=True)
        ]
        squared = sum(np.square(axis) for axis in np.ix_(*offsets))
        bent[block] += np.float32(signs[number] * lacking[disobeyed[0]]) * click_values(squared, radius)
        first = number + 1


def stamp_prompts(mask: NDArray[np.uint8], region: Region, prompts: Sequence[Prompt]) -> None:
    """Give every prompt its own voxels of a mask, in place.

    Args:
        mask: uint8 0/1 of ``region``'s shape.
        region: Where it lies in the image.
        prompts: In the image's frame ``index``, oldest first, see ``prompts_in_force``.
    """
    window = Window(tuple(map(float, region.start)), tuple(map(float, region.stop)), region.shape)
    for clicks, local in _runs(window.all_to_grid(prompts)):
        if clicks:
            voxels, positive = _cells(clicks, mask.shape)
            # Of several clicks on one voxel the last one holds.
            mask[tuple(voxels.T)] = positive
        if local is None:
            continue
        block = _block(local, mask.shape)
        if not block.is_empty:
            held = Window(tuple(map(float, block.start)), tuple(map(float, block.stop)), block.shape)
            inner, values = _covered(held.all_to_grid([local])[0], block.shape)
            mask[block.slices][inner][values >= COVERED] = local.positive


def keep_given(
    mask: NDArray[np.uint8], before: NDArray[np.uint8], region: Region, prompts: Sequence[Prompt], fresh: int
) -> NDArray[np.uint8]:
    """Return a corrected mask, of which a network that cannot draw a given one decides only what its clicks touch.

    Trees of vessels and fields of cells, opened from a file or picked among candidates, are more than a coarse grid
    holds, and a click on one of their parts must not cost the others.

    Args:
        mask: The prediction, uint8 0/1 of ``region``'s shape.
        before: The mask that it corrects, of the same shape.
        region: Where both lie in the image.
        prompts: In the image's frame ``index``, oldest first.
        fresh: How many of them, the last ones, are new.
    """
    clicks = [p for p in prompts[max(0, len(prompts) - fresh) :] if isinstance(p, Point)]
    given = any(isinstance(p, InitialMask) for p in prompts[: len(prompts) - fresh])
    if not given or not clicks or len(clicks) < fresh or not before.any():
        return mask
    common, either = np.count_nonzero(mask & before), np.count_nonzero(mask | before)
    if common >= KNOWN_AGAIN * either:
        return mask
    reach = max(TOUCH, REACH * float(ndimage.distance_transform_edt(before).max()))
    changed = (mask != before).view(np.uint8)
    kept = before.copy()
    for click in clicks:
        place = [int(np.floor(c + 0.5)) - s for c, s in zip(click.position[::-1], region.start, strict=True)]
        near = tuple(slice(max(0, int(c - reach)), max(0, int(c + reach) + 1)) for c in place)
        offsets = np.ogrid[tuple(slice(n.start, min(n.stop, size)) for n, size in zip(near, mask.shape, strict=True))]
        distance = np.sqrt(sum((o - c) ** 2.0 for o, c in zip(offsets, place, strict=True)))
        parts, _ = ndimage.label(changed[near] & (distance <= reach), np.ones((3,) * mask.ndim))
        touched = np.unique(parts[distance <= TOUCH])
        kept[near] = np.where(np.isin(parts, touched[touched > 0]), mask[near], kept[near])
    return kept


def _block(prompt: Prompt, shape: Sequence[int]) -> Region:
    """Return the voxels that a stroke or an area can touch."""
    assert isinstance(prompt, Box | Lasso | Scribble)
    reach = prompt.thickness / 2 + 1 if isinstance(prompt, Scribble) else 1.0
    vertices = prompt.vertices()[:, ::-1]
    start = tuple(int(np.floor(v)) for v in vertices.min(axis=0) - reach)
    stop = tuple(int(np.ceil(v)) + 1 for v in vertices.max(axis=0) + reach)
    return Region(start, stop).clip(shape)
