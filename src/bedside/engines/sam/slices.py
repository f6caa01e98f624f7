"""The engine of the SAM family: a slice is encoded once, and every box on it is decoded from that.

A box in a volume is followed slice by slice from its middle outward: the mask of one slice gives the box of the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import Box, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.placed import Clock, check_prompts
from bedside.engines.planes import insert
from bedside.engines.protocol import Capabilities, Prediction
from bedside.engines.sam.cache import SliceCache
from bedside.engines.sam.framing import LOGITS_SIDE, Frame
from bedside.engines.sam.grey import ByteScale, byte_scale
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.sam.system import Corners, System, View
from bedside.imaging.resize_bytes import opencv_area
from bedside.runtime.backend import Graph

FLAT = 2.0
"""An axis other than the first is sliced only where its spacing is more than this multiple of the first's."""
HIGHEST = 255
"""Highest number that a byte holds."""


@dataclass(frozen=True, eq=False)
class Network:
    """A system with its two graphs."""

    system: System
    encoder: Graph
    decoder: Graph


@dataclass(frozen=True, eq=False)
class SliceAnswer:
    """The mask of one slice, in the region of the slice outside which it is empty."""

    index: int
    mask: NDArray[np.uint8]
    region: Region
    logits: NDArray[np.float32]


class SliceSegmenter:
    """A system of the SAM family behind the protocol: boxes on images, and boxes followed through volumes.

    Several boxes on one object are predicted each by itself, and their masks are joined.

    Args:
        name: Model in the registry.
        choose: Gives the network for an image; the same every time, but where a system has experts.
        capabilities: What prompts it takes.
        policy: Which slices are predicted, and how much is remembered.
        experts: Checksum of the weights of each network that ``choose`` may give beside the system's own, by stem.
    """

    def __init__(
        self,
        name: str,
        choose: Callable[[Image], Network],
        capabilities: Capabilities,
        policy: SlicePolicy,
        experts: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.experts = dict(experts or {})
        self.capabilities = capabilities
        self.policy = policy
        self._choose = choose
        self._cache = SliceCache(policy.memory)
        self._image: Image | None = None
        self._network: Network | None = None
        self._bytes: ByteScale | None = None
        self._axis = 0
        self._number = 1

    def set_image(self, image: Image) -> None:
        """Take an image or a volume; nothing is encoded before the first box.

        Raises:
            BackendError: The network for this image cannot be loaded.
        """
        self._cache.clear()
        self._image = image
        self._network = published_network(self._choose(image), self.policy)
        self._bytes = byte_scale(image)
        self._axis = slice_axis(image) if image.ndim == 3 and self.policy.axis == "spacing" else 0

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Predict the prompts; see ``protocol.Segmenter``."""
        return self._predict(prompts, previous, fresh, 1)

    def predict_object(self, prompts: Sequence[Prompt], number: int) -> Prediction:
        """Predict the prompts of object ``number`` of a case; see ``protocol.Numbering``."""
        return self._predict(prompts, None, len(prompts), number)

    def _predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None, fresh: int, number: int
    ) -> Prediction:
        image, _ = self._ready()
        placed = check_prompts(prompts, image, self.capabilities)
        before = previous if previous is not None and previous.any() else None
        newest = placed if before is None else placed[max(0, len(placed) - fresh) :]
        clock = Clock()
        self._number = number if self.policy.published else 1
        answers = [answer for prompt in newest if isinstance(prompt, Box) for answer in self._follow(prompt, clock)]
        return self._combine(answers, before, clock)

    def encode(self, image: Image) -> int:
        """Take an image and encode it, or every slice of a volume, where a store keeps that; returns how many.

        Raises:
            BackendError: The network for this image cannot be loaded.
        """
        self.set_image(image)
        count = 1 if image.ndim == 2 else image.shape[self._axis]
        for index in range(count):
            self._encode(index, Clock())
        return count

    def _ready(self) -> tuple[Image, Network]:
        if self._image is None or self._network is None:
            raise InputError("prediction", expected="an image first", got="none", fix="call set_image before predict")
        return self._image, self._network

    def _follow(self, box: Box, clock: Clock) -> Iterator[SliceAnswer]:
        """Predict of all slices of a box, from the middle outward, first up and then down."""
        image, network = self._ready()
        if image.ndim == 2:
            yield self._answer(0, self._corners(box), None, clock)
            return
        drop = 2 - self._axis
        span = answered_slices(
            (box.low[drop], box.high[drop]), image.shape[self._axis], network.system, published=self.policy.published
        )
        low, high = (tuple(c for a, c in enumerate(end) if a != drop) for end in (box.low, box.high))
        corners = self._corners(Box(low, high))
        start = self._answer(span.middle, corners, None, clock)
        yield start
        for indices in (range(span.middle + 1, span.last + 1), range(span.middle - 1, span.first - 1, -1)):
            before = start
            for index in indices:
                before = self._answer(index, corners, before, clock)
                yield before

    def _corners(self, box: Box) -> Corners:
        """Return a half-open box in two dimensions as the closed one that the systems know.

        The challenge's boxes reach the width and height of an image, one beyond its last pixel, and so may these. Boxes
        that reach further are cut to the last pixel, but where the published code is followed, which does not.
        """
        if self.policy.published:
            return box.low[0], box.low[1], box.high[0] - 1, box.high[1] - 1
        height, width = self._slice_shape()
        low = [min(max(0.0, v), n - 1.0) for v, n in zip(box.low, (width, height), strict=True)]
        ends = [v - 1.0 if v - 1.0 <= n else n - 1.0 for v, n in zip(box.high, (width, height), strict=True)]
        high = [max(a, v) for a, v in zip(low, ends, strict=True)]
        return low[0], low[1], high[0], high[1]

    def _slice_shape(self) -> tuple[int, int]:
        shape = self._ready()[0].shape
        kept = shape if len(shape) == 2 else tuple(n for a, n in enumerate(shape) if a != self._axis)
        return kept[0], kept[1]

    def _answer(self, index: int, corners: Corners, before: SliceAnswer | None, clock: Clock) -> SliceAnswer:
        """Return the prediction on one slice, by the mask of the slice before where that has one, and else by the box
        itself.
        """
        _, network = self._ready()
        system = network.system
        view, features = self._cache.get_or_make(index, lambda i: self._encode(i, clock))
        began = time.perf_counter()
        following = following_box(before, view.frame, system, self._number) if before is not None else None
        on_grid = following if following is not None else box_on_grid(corners, view.frame, system)
        offset = 0.0 if system.half_pixel else 0.5
        boxes = np.array([on_grid], dtype=np.float32) - np.float32(offset)
        pixels = extent_in_pixels(before, view.frame, system.room) if before is not None and following else corners
        more = system.prompter(view, pixels, on_grid)
        clock.seconds["window"] += time.perf_counter() - began
        logits = clock.run(network.decoder, {**features, "boxes": boxes, **more})["logits"][0, 0]
        began = time.perf_counter()
        mask, region = view.frame.expand(logits, probabilities=system.probabilities, answer_side=system.answer_side)
        clock.seconds["paste"] += time.perf_counter() - began
        return SliceAnswer(index, mask, region, logits)

    def _encode(self, index: int, clock: Clock) -> tuple[View, Mapping[str, NDArray[Any]]]:
        image, network = self._ready()
        began = time.perf_counter()
        samples = image.array if image.ndim == 2 else np.take(image.array, index, axis=self._axis)
        if self._bytes is not None:
            samples = self._bytes(samples)
        colours = samples if samples.ndim == 3 else np.repeat(samples[..., None], 3, axis=2)
        system = network.system
        frame = Frame.of(self._slice_shape(), system.side, system.framing)
        view = View(frame.fit(colours, system.kernel), colours, frame, image.modality)
        clock.seconds["window"] += time.perf_counter() - began
        return view, clock.run(network.encoder, {"image": view.pixels[None]})

    def _combine(self, answers: list[SliceAnswer], before: NDArray[np.uint8] | None, clock: Clock) -> Prediction:
        """Return one prediction for the image from those of its slices."""
        image, network = self._ready()
        began = time.perf_counter()
        region = Region.empty(image.ndim)
        for answer in answers:
            if not answer.region.is_empty:
                region = region.union(self._placed(answer))
        mask = np.zeros(region.shape, dtype=np.uint8) if before is None else before[region.slices].copy()
        for answer in answers:
            if not answer.region.is_empty:
                place = self._placed(answer).shift([-s for s in region.start])
                target = mask[place.slices]
                if image.ndim == 3:
                    target = np.moveaxis(target, self._axis, 0)[0]
                np.maximum(target, answer.mask, out=target)
        old = np.zeros_like(mask) if before is None else before[region.slices]
        changed = mask_region(mask != old).shift(region.start)
        clock.seconds["paste"] += time.perf_counter() - began
        if not answers:
            return Prediction(mask, region, np.zeros((0, 0), np.float32), (), changed, clock.seconds, 0)
        last = answers[-1]
        window: tuple[tuple[float, float], ...] = covered_by_grid(self._slice_shape(), network.system)
        if image.ndim == 3:
            window = insert(window, self._axis, (float(last.index), float(last.index + 1)))
        return Prediction(mask, region, last.logits, window, changed, clock.seconds, clock.passes)

    def _placed(self, answer: SliceAnswer) -> Region:
        if self._ready()[0].ndim == 2:
            return answer.region
        return Region(
            insert(answer.region.start, self._axis, answer.index),
            insert(answer.region.stop, self._axis, answer.index + 1),
        )


def slice_axis(image: Image) -> int:
    """Return axis (array order) across which a volume is sliced: the first, as the systems were trained on.

    Only where the spacing of another axis is much larger are the slices cut across that one.
    """
    spacing = image.geometry.array_spacing
    largest = int(np.argmax(spacing))
    return largest if spacing[largest] > FLAT * spacing[0] else 0


def box_on_grid(corners: Corners, frame: Frame, system: System) -> Corners:
    """Return a box's corners on the grid, as the system takes them."""
    scaled = [c * s for c, s in zip(corners, (*frame.scale[::-1], *frame.scale[::-1]), strict=True)]
    x0, y0, x1, y1 = (float(int(c)) for c in scaled) if system.whole_boxes else scaled
    return x0, y0, x1, y1


def following_box(before: SliceAnswer, frame: Frame, system: System, number: int = 1) -> Corners | None:
    """Return the next slice's box on the grid: the extent of the mask before, enlarged; None where there is no mask.

    Args:
        before: The slice before.
        frame: Frame of both slices.
        system: Says where the mask is measured.
        number: Number of the object, see ``covered_cells``.
    """
    if before.region.is_empty:
        return None
    if system.follow == "image":
        extent = mask_region(before.mask).shift(before.region.start)
    else:
        whole = np.zeros(frame.shape, dtype=np.uint8)
        whole[before.region.slices] = before.mask
        extent = mask_region(covered_cells(whole, frame.inner, number, wide=system.wide_map))
    if extent.is_empty:
        return None
    (top, left), (bottom, right) = extent.start, extent.stop
    found = (float(left), float(top), right - 1.0, bottom - 1.0)
    if system.follow == "image":
        found = box_on_grid(found, frame, system)
    margin = system.margin * frame.side / LOGITS_SIDE
    low, high = 0.0, float(frame.side)
    x0, y0, x1, y1 = (
        min(max(low, c + d), high) for c, d in zip(found, (-margin, -margin, margin, margin), strict=True)
    )
    return x0, y0, x1, y1


def covered_cells(
    mask: NDArray[np.uint8], inner: tuple[int, int], number: int = 1, *, wide: bool = False
) -> NDArray[np.bool_]:
    """Return cells of the grid that a mask covers, as the public code finds them.

    It shrinks a map of bytes that holds the object's number, rounds to bytes again and takes all that is above 0. So a
    cell is covered from a share of 0.5 / number: by half for the first object, by just over a tenth for the fifth.

    Args:
        mask: uint8 0/1 (y, x).
        inner: Cells, (y, x).
        number: Number of the object; 1 treats all alike.
        wide: The map holds numbers of 16 bits; bytes begin again at 1 after 255.
    """
    value = np.uint16(number) if wide else np.uint8((number - 1) % HIGHEST + 1)
    return np.asarray(opencv_area(mask * value, inner) > 0)


def extent_in_pixels(before: SliceAnswer, frame: Frame, room: int) -> Corners:
    """Return the extent of a mask in its slice's pixels with ``room`` on each side, at most one beyond the slice."""
    extent = mask_region(before.mask).shift(before.region.start)
    (top, left), (bottom, right) = extent.start, extent.stop
    height, width = frame.shape
    return (
        float(max(0, left - room)),
        float(max(0, top - room)),
        float(min(width, right - 1 + room)),
        float(min(height, bottom - 1 + room)),
    )


@dataclass(frozen=True)
class SliceSpan:
    """The slices of a box: the one that it is begun on, and the ends, both predicted."""

    first: int
    middle: int
    last: int


def answered_slices(ends: tuple[float, float], depth: int, system: System, *, published: bool) -> SliceSpan:
    """Return which slices of a box in a volume are predicted, and on which it is begun.

    The challenge's boxes may reach one beyond the last slice. The middle is that of the box as it was given, also where
    its end lies beyond the volume.

    Args:
        ends: Low and high of the half-open box across the slices, in continuous voxel coordinates.
        depth: Number of slices.
        system: Says which ends the team's own code leaves out.
        published: Whether they are left out here.
    """
    # A box lies on the slices whose centres are between its faces, or on the nearest where it is thinner than that.
    low, stop = (int(np.ceil(end - 0.5)) for end in ends)
    if low >= stop:
        low = round((ends[0] + ends[1]) / 2 - 0.5)
        stop = low + 1
    given = stop - 1 if published and not system.middle_within else min(stop - 1, depth)
    lowest = low if published and not system.middle_within else max(0, low)
    first, last = min(max(0, low), depth - 1), min(stop - 1, depth - 1)
    if published and not system.first_slice:
        first = max(0, low + 1)
    if published and not system.last_slice:
        last = min(stop - 1, depth) - 1
    middle = min(max((lowest + given) // 2, 0), depth - 1)
    return SliceSpan(min(first, middle), middle, max(last, middle))


def published_network(network: Network, policy: SlicePolicy) -> Network:
    """Return the network with its system as the chosen public inference has it.

    Raises:
        InputError: There is no second one.
    """
    if policy.inference == "submitted":
        return network
    system = network.system
    if system.second is None:
        raise InputError(f"inference of '{system.name}'", expected="submitted: there is no other", got=policy.inference)
    return replace(network, system=replace(system.second, prompter=system.prompter))


def covered_by_grid(shape: tuple[int, int], system: System) -> tuple[tuple[float, float], ...]:
    """Return what the grid covers, in the slice's pixels, edge to edge per axis; padding lies beyond the slice."""
    scale = Frame.of(shape, system.side, system.framing).scale
    return tuple((0.0, system.side / s) for s in scale)
