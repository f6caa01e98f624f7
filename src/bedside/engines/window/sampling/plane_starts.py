"""The first prompts of a training sample of an image, and the mask it starts from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.prompts import Box, Point, Prompt
from bedside.engines.window.sampling.gatherings import mistaken_part
from bedside.engines.window.sampling.plane_windows import Warp
from bedside.simulate.boxes import jittered_box, tight_box
from bedside.simulate.clicks import first_click
from bedside.simulate.scribbles import simulate_scribble

Start = tuple[NDArray[np.float32], list[Prompt]]
"""The previous mask and the first prompts."""
INWARD, OUTWARD = 0.05, 0.1
"""How far the faces of a drawn box lie off, in parts of its sides; see ``simulate.boxes.jittered_box``."""
SHARPNESS = (None, 8.0, 2.0)
"""How deep inside the object a first click lies, one drawn per sample; see ``simulate.components.pick_centre``."""


def draw_start(
    truth: NDArray[np.uint8],
    mode: str,
    generator: np.random.Generator,
    *,
    box: Box | None = None,
    others: NDArray[np.uint8] | None = None,
) -> Start:
    """Return the previous mask and the first prompts of a sample, in the grid's coordinates.

    Args:
        truth: The object in the window, 0/1 (y, x).
        mode: "box"; "wide" for a click or scribble; "close" for the refinement of a coarse mask; "tile" for a window
            within the object's box; "mistake" for a mask with a part too many and a negative click on it.
        generator: Source of randomness.
        box: Box of the whole object, where the window shows only some of it.
        others: Other objects in the window, 0/1 (y, x), where any are known.

    Returns:
        float32 0/1 (y, x), and the prompts.
    """
    if mode == "tile":
        return _start_tile(truth, box or tight_box(truth), generator)
    if mode == "mistake":
        return _start_mistake(truth, others, generator)
    previous = np.zeros(truth.shape, dtype=np.float32)
    prompts: list[Prompt] = []
    if mode == "close":
        previous = degrade_mask(truth, generator)
        if generator.random() < 0.6:
            prompts.append(tight_box(truth))
    elif mode == "wide":
        if generator.random() < 0.75:
            prompts.append(first_click(truth, generator, SHARPNESS[generator.integers(3)]))
        else:
            prompts.append(simulate_scribble(truth, generator))
    else:
        prompts += _draw_box(truth, generator)
    if mode != "close" and generator.random() < 0.08:
        previous = degrade_mask(truth, generator)
    if mode != "box" and generator.random() < 0.2:
        background = (truth == 0) & (ndimage.binary_dilation(truth, iterations=12))
        if background.any():
            prompts.append(_negative(first_click(background, generator, 1.0)))
    return previous, prompts


def _negative(click: Point) -> Point:
    return Point(click.position, positive=False)


def _draw_box(truth: NDArray[np.uint8], generator: np.random.Generator) -> list[Prompt]:
    """Return a box around the object, now and then with a scribble on it."""
    box = tight_box(truth)
    kind = generator.random()
    # A tight box alone already explains most of a mask; loose ones make the network look at the image.
    if kind > 0.65:
        box = jittered_box(box, generator, 0.0, 0.35)
    elif kind > 0.25:
        box = jittered_box(box, generator, INWARD, OUTWARD)
    return [box, simulate_scribble(truth, generator)] if generator.random() < 0.1 else [box]


def _start_tile(truth: NDArray[np.uint8], box: Box, generator: np.random.Generator) -> Start:
    """Return a box that reaches beyond the window, now and then with a click."""
    prompts: list[Prompt] = [jittered_box(box, generator, INWARD, OUTWARD) if generator.random() < 0.75 else box]
    if generator.random() < 0.25:
        prompts.append(first_click(truth, generator, 2.0))
    return np.zeros(truth.shape, dtype=np.float32), prompts


def _start_mistake(truth: NDArray[np.uint8], others: NDArray[np.uint8] | None, generator: np.random.Generator) -> Start:
    """Return a mask that holds something beside the object, and a negative click there."""
    previous = degrade_mask(truth, generator) if generator.random() < 0.5 else truth.astype(np.float32)
    prompts: list[Prompt] = []
    if generator.random() < 0.6:
        prompts.append(jittered_box(tight_box(truth), generator, INWARD, OUTWARD))
    if not prompts or generator.random() < 0.5:
        prompts.append(first_click(truth, generator, 2.0))
    mistake = mistaken_part(truth, others, generator)
    if mistake is not None:
        previous = np.maximum(previous, mistake.astype(np.float32))
        prompts.append(_negative(first_click(mistake, generator, SHARPNESS[generator.integers(2)])))
    return previous, prompts


def warped_box(mask: NDArray[np.bool_], warp: Warp, grid: int) -> Box:
    """Return the smallest box on a window's grid that holds an object, which may reach beyond it.

    A smooth deformation of the window is left aside.

    Args:
        mask: The object in its plane, bool (y, x), at least one pixel.
        warp: Where the window lies.
        grid: Cells along each of its sides.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    # The pixels' corners: of each row the outermost are enough, whatever the rotation.
    corners = np.stack([np.concatenate([rows, rows, rows + 1, rows + 1]), np.concatenate([first, last] * 2)], axis=1)
    turned = (corners - np.array(warp.centre)) / np.array(warp.sides)
    cos, sin = np.cos(warp.angle), np.sin(warp.angle)
    y = (cos * turned[:, 0] + sin * turned[:, 1]) * (-1 if warp.flip[0] else 1)
    x = (-sin * turned[:, 0] + cos * turned[:, 1]) * (-1 if warp.flip[1] else 1)
    places = (np.stack([x, y], axis=1) + 0.5) * grid
    return Box(tuple(map(float, places.min(axis=0))), tuple(map(float, places.max(axis=0))))


def degrade_mask(truth: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a mask as another tool or a coarser window would have made it: blurred, shifted, uneven.

    Args:
        truth: uint8 (y, x).
        generator: Source of randomness.

    Returns:
        float32 0/1 of the same shape.
    """
    values = truth.astype(np.float32)
    step = int(generator.integers(1, 9))
    if step > 1:
        coarse = torch.nn.functional.avg_pool2d(torch.from_numpy(values)[None, None], step, ceil_mode=True)
        shape = (truth.shape[0], truth.shape[1])
        values = torch.nn.functional.interpolate(coarse, shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    values = ndimage.gaussian_filter(values, generator.uniform(0.3, 4.0))
    noise = ndimage.gaussian_filter(generator.standard_normal(truth.shape), generator.uniform(2.0, 10.0))
    noise *= generator.uniform(0.0, 0.2) / max(float(noise.std()), 1e-6)
    shift = generator.integers(-3, 4, size=2)
    return np.roll(values + noise > generator.uniform(0.3, 0.7), shift, axis=(0, 1)).astype(np.float32)
