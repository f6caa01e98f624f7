"""Prompts to the channels of nnInteractive, at the image's own resolution.

Unlike the encoding of the bundled models (``paint``), prompts here age: each new one makes the older ones fainter. So
the channels are kept from prompt to prompt, and the order of prompts matters. arXiv 2503.08373.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import PromptError
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, Scribble
from bedside.core.region import Region
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.imaging.paint import paint_prompts

HIGHEST = float(np.finfo(np.float16).max)
"""The largest intensity that the channels can hold, 65504."""


@functools.lru_cache(maxsize=8)
def click_ball(radius: int) -> NDArray[np.float32]:
    """Return the values of a click: a ball whose voxels hold their distance to its outside, 1 at the centre.

    Args:
        radius: Radius of the ball in voxels; voxels at this distance belong to it.

    Returns:
        float32 (2 * radius + 1,) * 3, read-only, 0 outside the ball.
    """
    axis = np.arange(-radius, radius + 1)
    squared = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    distance = ndimage.distance_transform_edt(squared <= radius**2)
    values: NDArray[np.float32] = (distance / distance.max()).astype(np.float32)
    values.flags.writeable = False
    return values


class InteractionChannels:
    """The prompts of one object as channels on one block of an image.

    New prompts are painted with a running intensity that grows by ``1 / decay`` each time, and the channels are
    divided by it when they are asked for: the newest has the value 1, older ones ``decay ** age``, and no channel is
    touched as a whole for a prompt.

    Args:
        block: The voxels of the image that the channels cover, in array order; prompts are given in the image's
            coordinates, and what lies outside the block is left out. It may reach beyond the image.
        settings: What the network's checkpoint says of its prompts.

    Attributes:
        intensity: The value that the newest prompt was painted with.
    """

    def __init__(self, block: Region, settings: InteractionSettings | None = None) -> None:
        self.block = block
        self.settings = settings or InteractionSettings()
        self.intensity = 1.0
        # Half precision as in nnInteractive: seven channels of a whole scan are large.
        self._stamps = np.zeros((self.settings.channels, *block.shape), dtype=np.float16)

    def add(self, prompt: Prompt) -> None:
        """Paint a prompt in the frame ``index`` of the image; see ``place_prompt``.

        Raises:
            PromptError: It is a kind that the network was not trained with: with the public weights, a box that is
                thicker than one slice on every axis.
        """
        if isinstance(prompt, Point):
            self.add_point(tuple(round(c) for c in prompt.position[::-1]), positive=prompt.positive)
        elif isinstance(prompt, Box):
            self.add_box(box_region(prompt), positive=prompt.positive)
        elif isinstance(prompt, InitialMask):
            self.set_mask(self._part_of(prompt.mask))
        else:
            self.add_drawing(prompt)

    def add_point(self, position: Sequence[int], *, positive: bool = True) -> None:
        """Paint a click: a ball that grows fainter to its rim, joined to the channel by maximum.

        Args:
            position: Voxel of the image, array order.
            positive: Whether it lies on the object.

        Raises:
            PromptError: The network was not trained with clicks.
        """
        channel = self._begin("points", positive)
        radius = self.settings.point_radius
        ball = Region(tuple(p - radius for p in position), tuple(p + radius + 1 for p in position))
        inside = ball.intersection(self.block)
        if inside.is_empty:
            return
        target = channel[inside.shift([-s for s in self.block.start]).slices]
        values = click_ball(radius)[inside.shift([-s for s in ball.start]).slices] * self.intensity
        np.maximum(target, values.astype(np.float16), out=target)

    def add_box(self, box: Region, *, positive: bool = True) -> None:
        """Fill a half-open box; unlike other prompts it overwrites what is there.

        Raises:
            PromptError: The box is empty, or thicker than one slice on every axis and the network takes no such box.
        """
        if box.is_empty:
            raise PromptError("box", expected="at least one voxel on each axis", got=f"{box.shape} voxels")
        flat = min(box.shape) == 1
        if not flat and not self.settings.supported["bbox3d"]:
            raise PromptError(
                "box", expected="a box on one slice", got=f"{box.shape} voxels", fix="draw it on the middle slice"
            )
        channel = self._begin("bbox2d" if flat else "bbox3d", positive)
        inside = box.intersection(self.block)
        if not inside.is_empty:
            channel[inside.shift([-s for s in self.block.start]).slices] = self.intensity

    def add_mask(self, kind: str, mask: NDArray[Any], region: Region | None = None, *, positive: bool = True) -> None:
        """Join the marked voxels of a stroke or of a filled outline to their channel by maximum.

        Args:
            kind: "scribble" or "lasso".
            mask: Non-zero where marked.
            region: The voxels of the image that the mask covers; the block where it is left out.
            positive: Whether it lies on the object.

        Raises:
            PromptError: The mask is empty or of another shape, or the network was not trained with the kind.
        """
        region = region or self.block
        _check_shape(kind, mask, region)
        if not mask.any():
            raise PromptError(kind, expected="at least one marked voxel", got="none")
        channel = self._begin(kind, positive)
        inside = region.intersection(self.block)
        if inside.is_empty:
            return
        target = channel[inside.shift([-s for s in self.block.start]).slices]
        marked = (mask[inside.shift([-s for s in region.start]).slices] != 0) * np.float16(self.intensity)
        np.maximum(target, marked, out=target)

    def add_drawing(self, prompt: Scribble | Lasso) -> None:
        """Paint a stroke or a filled outline that is given by its points in the image's ``index`` frame.

        Raises:
            PromptError: It marks no voxel, or the network was not trained with the kind.
        """
        vertices = prompt.vertices()
        reach = prompt.thickness / 2 + 1 if isinstance(prompt, Scribble) else 1.0
        start = np.floor(vertices.min(axis=0) - reach).astype(int)
        stop = np.ceil(vertices.max(axis=0) + reach).astype(int) + 1
        region = Region(tuple(map(int, start[::-1])), tuple(map(int, stop[::-1])))
        moved = tuple(tuple(map(float, point)) for point in vertices - start)
        placed = replace(prompt, points=moved, positive=True)
        # The network knows strokes and outlines as voxels that are marked or not.
        marked = paint_prompts([placed], region.shape).max(axis=0) > 0.5
        self.add_mask(prompt.kind, marked, region, positive=prompt.positive)

    def set_mask(self, mask: NDArray[Any]) -> None:
        """Start again from a mask: all prompts are forgotten and the mask becomes the previous one.

        Raises:
            PromptError: The mask has another shape than the block, or the network starts from no mask.
        """
        _check_shape("initial mask", mask, self.block)
        if not self.settings.takes_mask:
            raise PromptError("initial mask", expected="a prompt that the network was trained with")
        self.reset()
        self.set_previous(mask)

    def set_previous(self, mask: NDArray[Any]) -> None:
        """Put the network's last prediction into the channel of the previous mask and keep all prompts.

        Raises:
            PromptError: The mask has another shape than the block.
        """
        _check_shape("previous mask", mask, self.block)
        self._stamps[self.settings.previous] = mask != 0

    def reset(self) -> None:
        """Forget all prompts and the previous mask."""
        self._stamps[:] = 0
        self.intensity = 1.0

    def values(self) -> NDArray[np.float32]:
        """Return what the network is given beside the image: float32 (channels, *block), values 0 to 1."""
        values = self._stamps.astype(np.float32)
        previous = values[self.settings.previous].copy()
        # Rounded as the stamps are, so that the newest prompt is exactly 1.
        values /= np.float32(np.float16(self.intensity))
        values[self.settings.previous] = previous
        return values

    def _part_of(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Return a mask of the whole image on the block, which may reach beyond it."""
        part = np.zeros(self.block.shape, dtype=bool)
        inside = self.block.intersection(Region.whole(mask.shape))
        if not inside.is_empty:
            part[inside.shift([-s for s in self.block.start]).slices] = mask[inside.slices]
        return part

    def _begin(self, kind: str, positive: bool) -> NDArray[np.float16]:
        """Let older prompts fade and give the channel of the new one."""
        settings = self.settings
        if not settings.supported[kind]:
            raise PromptError(f"prompt '{kind}'", expected="a prompt that the network was trained with")
        pair = settings.pairs[kind]
        if settings.decay_of == "pair":
            for channel in pair:
                self._stamps[channel] *= np.float16(settings.decay)
        else:
            grown = self.intensity / settings.decay
            if grown > HIGHEST:
                self._scale(HIGHEST / 10 / grown)
                grown = HIGHEST / 10
            self.intensity = grown
        channel_of_it: NDArray[np.float16] = self._stamps[pair[0 if positive else 1]]
        return channel_of_it

    def _scale(self, factor: float) -> None:
        for channel in range(len(self._stamps)):
            if channel != self.settings.previous:
                self._stamps[channel] = (self._stamps[channel].astype(np.float32) * factor).astype(np.float16)


def _check_shape(what: str, mask: NDArray[Any], region: Region) -> None:
    if mask.shape != region.shape:
        raise PromptError(what, expected=f"the shape {region.shape}", got=mask.shape)


def box_region(box: Box) -> Region:
    """Return the voxels whose centres lie inside a box that is given in the frame ``index``.

    A box thinner than a voxel keeps the voxel that it lies in.
    """
    start, stop = [], []
    for low, high in zip(box.low[::-1], box.high[::-1], strict=True):
        first, last = int(np.ceil(low - 0.5)), int(np.ceil(high - 0.5))
        if last <= first:
            first = int(np.floor((low + high) / 2))
            last = first + 1
        start.append(first)
        stop.append(last)
    return Region(tuple(start), tuple(stop))
