"""What an object is started from: every kind of first prompt, as a user would draw it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Box, InitialMask, Prompt
from bedside.core.region import Region
from bedside.simulate.boxes import jittered_box, part_boxes, tight_box
from bedside.simulate.clicks import first_click
from bedside.simulate.masks import degraded_mask
from bedside.simulate.placing import shift_prompt
from bedside.simulate.scribbles import centre_scribble
from bedside.simulate.slices import middle_box, slice_lasso, slice_scribble

Start = Literal["box", "loose-box", "flat-box", "part-boxes", "point", "scribble", "lasso", "mask"]
STARTS: tuple[Start, ...] = get_args(Start)
LOOSENESS = 0.15
"""How far each face of a loose box stands off at most, in parts of the side: a side is up to 30 % too long."""


@dataclass(frozen=True, eq=False)
class Occasion:
    """What a first prompt is drawn from.

    Attributes:
        truth: The object, cropped to ``region``.
        region: Where it lies in the image.
        shape: Shape of the image.
        spacing: Spacing of its voxels in array order.
        flat_boxes: Whether boxes in a volume must lie on one slice.
        generator: Source of randomness.
    """

    truth: NDArray[Any]
    region: Region
    shape: tuple[int, ...]
    spacing: Sequence[float]
    flat_boxes: bool
    generator: np.random.Generator


def draw_starts(start: Start, occasion: Occasion) -> list[Prompt]:
    """Return the first prompts on an object, in the image's frame ``index``: one, or a box for each part."""
    if start != "part-boxes":
        return [draw_start(start, occasion)]
    boxes: list[Prompt] = []
    for box in part_boxes(occasion.truth):
        low, high = (tuple(int(v) for v in corner[::-1]) for corner in (box.low, box.high))
        region = Region(low, high)
        inside = replace(occasion, truth=occasion.truth[region.slices], region=region.shift(occasion.region.start))
        boxes.append(draw_start("box", inside))
    return boxes


def draw_start(start: Start, occasion: Occasion) -> Prompt:
    """Return the first prompt on an object, in the image's frame ``index``; of several the first."""
    if start == "part-boxes":
        return draw_starts(start, occasion)[0]
    if start == "mask":
        mask, inner = degraded_mask(_padded(occasion), occasion.generator, occasion.spacing)
        outer = _surroundings(occasion)
        return InitialMask.of_patch(mask, inner.shift(outer.start), occasion.shape)
    prompt = shift_prompt(_DRAWN[start](occasion), occasion.region.start)
    return _clipped(prompt, occasion.shape) if isinstance(prompt, Box) else prompt


def start_kind(start: str) -> str:
    """Tell which kind of prompt a start is, as ``Capabilities.starts_from`` names it."""
    return "box" if start in ("loose-box", "flat-box", "part-boxes", "official") else start


def start_title(start: str) -> str:
    """Return what a start is called in tables, where several stand side by side."""
    return _TITLES.get(start, start)


def choose_starts(names: Sequence[str], *, volumes: bool, several: bool = True) -> list[Start]:
    """Return the starts called ``names``; ``all`` stands for each that has a meaning of its own.

    Args:
        names: As given by the user.
        volumes: Whether objects are volumes; in an image a flat box is a box.
        several: Whether an object may begin with several prompts.

    Raises:
        InputError: A name is unknown or given twice.
    """
    every = [s for s in STARTS if (volumes or s != "flat-box") and (several or s != "part-boxes")]
    if list(names) == ["all"]:
        return every
    unknown = [n for n in names if n not in STARTS or (n == "part-boxes" and not several)]
    if unknown or len(set(names)) != len(names) or not names:
        got = ", ".join(names) or "none"
        known = ", ".join(s for s in STARTS if several or s != "part-boxes")
        raise InputError("--start", expected=f"each once of {known}, or all", got=f"'{got}'")
    return [s for s in STARTS if s in names]


def _box(occasion: Occasion) -> Prompt:
    flat = occasion.flat_boxes and occasion.truth.ndim == 3
    return middle_box(occasion.truth) if flat else tight_box(occasion.truth)


def _loose_box(occasion: Occasion) -> Prompt:
    box = _box(occasion)
    assert isinstance(box, Box)
    loose = jittered_box(box, occasion.generator, inward=0.0, outward=LOOSENESS)
    if occasion.flat_boxes and occasion.truth.ndim == 3:
        # On one slice there is nothing to stand off across it.
        return replace(loose, low=(*loose.low[:2], box.low[2]), high=(*loose.high[:2], box.high[2]))
    return loose


def _flat_box(occasion: Occasion) -> Prompt:
    return middle_box(occasion.truth) if occasion.truth.ndim == 3 else tight_box(occasion.truth)


def _scribble(occasion: Occasion) -> Prompt:
    draw = centre_scribble if occasion.truth.ndim == 2 else slice_scribble
    return draw(occasion.truth, occasion.generator)


_DRAWN: dict[str, Callable[[Occasion], Prompt]] = {
    "box": _box,
    "loose-box": _loose_box,
    "flat-box": _flat_box,
    "point": lambda occasion: first_click(occasion.truth, occasion.generator),
    "scribble": _scribble,
    "lasso": lambda occasion: slice_lasso(occasion.truth, occasion.generator),
}
_TITLES = {
    "official": "the competition's box",
    "box": "tight box",
    "loose-box": "loose box (up to 30 % too large)",
    "flat-box": "box on one slice",
    "part-boxes": "a box for each part",
    "point": "one centre click",
    "scribble": "one scribble",
    "lasso": "one lasso",
    "mask": "mask of another tool",
}


def _surroundings(occasion: Occasion) -> Region:
    """Return room for a mask that goes too far: the object's extent grown by its own size, within the image."""
    sides = occasion.region.shape
    start = tuple(a - n for a, n in zip(occasion.region.start, sides, strict=True))
    stop = tuple(b + n for b, n in zip(occasion.region.stop, sides, strict=True))
    return Region(start, stop).clip(occasion.shape)


def _padded(occasion: Occasion) -> NDArray[np.bool_]:
    outer = _surroundings(occasion)
    padded = np.zeros(outer.shape, dtype=np.bool_)
    padded[occasion.region.shift(tuple(-s for s in outer.start)).slices] = occasion.truth
    return padded


def _clipped(box: Box, shape: tuple[int, ...]) -> Box:
    """Return the part of a box within an image."""
    low = tuple(max(0.0, v) for v in box.low)
    high = tuple(min(float(n), v) for v, n in zip(box.high, shape[::-1], strict=True))
    return replace(box, low=low, high=high)
