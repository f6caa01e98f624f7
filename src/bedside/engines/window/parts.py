"""Several boxes of one object: each part is predicted in a window of its own, and the parts are united.

A window around all boxes shows each part small and much between them. Apart, the parts are large in their windows and
know nothing of each other, so that the order in which boxes are drawn does not matter. Each voxel belongs to the part
whose boxes are nearest: there alone does a part's prediction replace the mask before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.core.prompts import Box, InitialMask, Lasso, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.evidence import Bounds, prompt_bounds
from bedside.engines.protocol import Prediction

SHARED = 0.25
"""Part of the smaller of two boxes from which on both mean the same part when they overlap."""


@dataclass(frozen=True, eq=False)
class Part:
    """One part of an object.

    Attributes:
        bounds: Start and stop of its boxes and lassos, in edge coordinates, array order.
        prompts: Its prompts, oldest first.
        fresh: How many of the last of them are new.
    """

    bounds: Bounds
    prompts: list[Prompt]
    fresh: int


def divide_parts(prompts: Sequence[Prompt], fresh: int, spacing: Sequence[float]) -> list[Part]:
    """Return the parts that positive boxes and lassos mean, in an order that does not depend on that of the prompts.

    Boxes that overlap by more than ``SHARED`` mean one part. Flat ones, on slices of a volume, overlap if they do so
    seen across the slices. Other prompts belong to all parts whose bounds they touch, else to the nearest.

    Args:
        prompts: In the frame ``index``, oldest first. What came before the newest given mask has had its say.
        fresh: How many of the last prompts are new.
        spacing: In mm, in array order.
    """
    newest = max((n for n, p in enumerate(prompts) if isinstance(p, InitialMask)), default=-1)
    held = list(enumerate(prompts))[newest + 1 :]
    areas = [n for n, p in held if p.positive and isinstance(p, Box | Lasso)]
    if len(areas) < 2:
        return []
    bounds = {n: prompt_bounds(p) for n, p in held}
    groups = _group([bounds[n] for n in areas])
    united = [_unite([bounds[areas[m]] for m in group]) for group in groups]
    members: list[list[int]] = [[areas[m] for m in group] for group in groups]
    for n, _ in held:
        if n not in areas:
            gaps = [gap(bounds[n], part, spacing) for part in united]
            for member, distance in zip(members, gaps, strict=True):
                if distance <= min(gaps):
                    member.append(n)
    first_fresh = len(prompts) - fresh
    parts = [
        Part(around, [prompts[n] for n in sorted(member)], sum(n >= first_fresh for n in member))
        for around, member in zip(united, members, strict=True)
    ]
    return sorted(parts, key=lambda part: (*part.bounds[0], *part.bounds[1]))


def territory(
    part: Part, parts: Sequence[Part], region: Region, spacing: Sequence[float], *, shared: bool = True
) -> NDArray[np.bool_]:
    """Return which voxels of a region are no farther from a part's bounds than from those of any other.

    Args:
        part: One of ``parts``.
        parts: All of the object.
        region: Of the image.
        spacing: In mm, in array order.
        shared: Whether voxels that are as near to another part count.

    Returns:
        bool of the region's shape.
    """
    own = _squared_distance(part.bounds, region, spacing)
    held = np.ones(region.shape, dtype=np.bool_)
    for other in parts:
        if other is not part:
            distance = _squared_distance(other.bounds, region, spacing)
            held &= own <= distance if shared else own < distance
    return held


@dataclass(frozen=True, eq=False)
class PartAnswer:
    """The prediction of one part.

    Attributes:
        part: Which.
        prediction: Of that part alone.
        begun: Whether the part had a mask before; what else lies in its territory reached there from another part.
    """

    part: Part
    prediction: Prediction
    begun: bool


def unite_answers(
    answers: Sequence[PartAnswer], parts: Sequence[Part], previous: NDArray[np.uint8] | None, spacing: Sequence[float]
) -> Prediction:
    """Return one prediction from those of parts.

    Args:
        answers: Of the parts that were asked; at least one.
        parts: All of the object.
        previous: uint8 0/1, the object's mask before; None where there is none.
        spacing: In mm, in array order.

    Returns:
        Its logits and window are those of the last; the quality is the mean, by the parts' voxels.
    """
    region = Region.empty(len(spacing))
    for answer in answers:
        region = region.union(answer.prediction.region)
    if previous is None:
        old = np.zeros(region.shape, dtype=np.uint8)
    else:
        # A part that begins now clears its whole territory.
        region = region if all(a.begun for a in answers) else region.union(mask_region(previous))
        old = previous[region.slices].astype(np.uint8)
    mask, offset = old.copy(), [-s for s in region.start]
    for answer in answers if previous is not None else ():
        cleared = answer.prediction.region if answer.begun else region
        own = territory(answer.part, parts, cleared, spacing, shared=answer.begun)
        mask[cleared.shift(offset).slices][own] = 0
    # After all is cleared: where parts share voxels, each may set them.
    for answer in answers:
        inner = answer.prediction.region
        mask[inner.shift(offset).slices] |= answer.prediction.mask * territory(answer.part, parts, inner, spacing)
    seconds: dict[str, float] = {}
    for answer in answers:
        for stage, value in answer.prediction.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    last = answers[-1].prediction
    changed = mask_region(mask != old).shift(region.start)
    predictions = [answer.prediction for answer in answers]
    passes = sum(p.passes for p in predictions)
    return Prediction(mask, region, last.logits, last.window, changed, seconds, passes, _quality(predictions))


def _quality(predictions: Sequence[Prediction]) -> float | None:
    known = [(p.quality, np.count_nonzero(p.mask) + 1) for p in predictions if p.quality is not None]
    if len(known) < len(predictions):
        return None
    return float(sum(quality * size for quality, size in known) / sum(size for _, size in known))


def gap(a: Bounds, b: Bounds, spacing: Sequence[float]) -> float:
    """Return the distance in mm between two boxes, 0 where they touch or overlap."""
    apart = np.maximum(np.maximum(a[0] - b[1], b[0] - a[1]), 0) * np.array(spacing)
    return float(np.sqrt(np.square(apart).sum()))


def shared_part(a: Bounds, b: Bounds) -> float:
    """Return which part of the smaller of two boxes lies in the other; across an axis along which both are flat they
    are seen from above, and one that is flat alone must lie within the other.
    """
    sides = np.stack([a[1] - a[0], b[1] - b[0]])
    common = np.clip(np.minimum(a[1], b[1]) - np.maximum(a[0], b[0]), 0, None)
    flat = sides <= 1.0
    if (common[flat.any(axis=0) & ~flat.all(axis=0)] == 0).any():
        return 0.0
    thick = ~flat.any(axis=0)
    return float(common[thick].prod() / sides[:, thick].prod(axis=1).min())


def _group(bounds: Sequence[Bounds]) -> list[list[int]]:
    """Return the numbers of boxes that mean the same part, however many others lie between them."""
    groups: list[list[int]] = []
    for number, box in enumerate(bounds):
        joined = [g for g in groups if any(shared_part(bounds[m], box) > SHARED for m in g)]
        groups = [g for g in groups if g not in joined] + [[m for g in joined for m in g] + [number]]
    return groups


def _unite(bounds: Sequence[Bounds]) -> Bounds:
    return np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)


def _squared_distance(bounds: Bounds, region: Region, spacing: Sequence[float]) -> NDArray[np.float32]:
    """Return squared distance in mm from the centres of a region's voxels to a box."""
    axes = []
    for start, stop, low, high, step in zip(region.start, region.stop, *bounds, spacing, strict=True):
        centres = np.arange(start, stop) + 0.5
        axes.append(np.square(np.maximum(np.maximum(low - centres, centres - high), 0) * step).astype(np.float32))
    return np.asarray(sum(np.ix_(*axes)), dtype=np.float32)
