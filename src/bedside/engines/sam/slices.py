"""The engine of the SAM family: a slice is encoded once, and every box on it is decoded from that.

A box in a volume is followed slice by slice from its middle outward: the mask of one slice gives the box of the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.prompts import Box, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.placed import check_prompts
from bedside.engines.planes import insert, touched_slices
from bedside.engines.protocol import Capabilities, Prediction
from bedside.engines.sam.cache import SliceCache
from bedside.engines.sam.framing import LOGITS_SIDE, Frame
from bedside.engines.sam.grey import ByteScale, byte_scale
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.sam.system import Corners, System, View
from bedside.imaging.resize import resize
from bedside.runtime.backend import Graph

FLAT = 2.0
"""An axis other than the first is sliced only where its spacing is more than this multiple of the first's."""
COVERED = 0.5
"""Share of a cell above which a mask covers it."""


@dataclass(frozen=True, eq=False)
class Network:
    """A system with its two graphs."""

    system: System
    encoder: Graph
    decoder: Graph


@dataclass
class Clock:
    """Seconds per stage of one prediction, and how often a graph ran."""

    seconds: dict[str, float] = field(default_factory=lambda: {"window": 0.0, "network": 0.0, "paste": 0.0})
    passes: int = 0

    def run(self, graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run a graph and count it."""
        began = time.perf_counter()
        outputs = graph.run(inputs)
        self.seconds["network"] += time.perf_counter() - began
        self.passes += 1
        return outputs


@dataclass(frozen=True, eq=False)
class SliceAnswer:
    """The mask of one slice, in the region of the slice outside which it is empty."""

    index: int
    mask: NDArray[np.uint8]
    region: Region
    logits: NDArray[np.float32]


class SliceSegmenter:
    """A system of the SAM family behind the protocol: boxes on images, and boxes followed through volumes.

    Several boxes on one object are answered each by itself, and their masks are joined.

    Args:
        name: Model in the registry.
        choose: Gives the network for an image; the same every time, but where a system has experts.
        capabilities: What prompts it takes.
        policy: Which slices are answered, and how much is remembered.
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

    def set_image(self, image: Image) -> None:
        """Take an image or a volume; nothing is encoded before the first box.

        Raises:
            BackendError: The network for this image cannot be loaded.
        """
        self._cache.clear()
        self._image = image
        self._network = self._choose(image)
        self._bytes = byte_scale(image)
        self._axis = slice_axis(image) if image.ndim == 3 else 0

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Answer the prompts; see ``protocol.Segmenter``."""
        image, _ = self._ready()
        placed = check_prompts(prompts, image, self.capabilities)
        before = previous if previous is not None and previous.any() else None
        newest = placed if before is None else placed[max(0, len(placed) - fresh) :]
        clock = Clock()
        answers = [answer for prompt in newest if isinstance(prompt, Box) for answer in self._follow(prompt, clock)]
        return self._combine(answers, before, clock)

    def _ready(self) -> tuple[Image, Network]:
        if self._image is None or self._network is None:
            raise InputError("prediction", expected="an image first", got="none", fix="call set_image before predict")
        return self._image, self._network

    def _follow(self, box: Box, clock: Clock) -> Iterator[SliceAnswer]:
        """Answers of all slices of a box, from the middle outward, first up and then down."""
        image, network = self._ready()
        if image.ndim == 2:
            yield self._answer(0, self._corners(box), None, clock)
            return
        system = network.system
        depth = image.shape[self._axis]
        # A box that begins in the outer half of the last slice holds the centre of none.
        touched = touched_slices(box, self._axis, depth) or [depth - 1]
        first, last = touched[0], touched[-1]
        middle = (first + last) // 2
        low, high = (tuple(c for a, c in enumerate(end) if a != 2 - self._axis) for end in (box.low, box.high))
        flat = Box(low, high)
        corners = self._corners(flat)
        start = self._answer(middle, corners, None, clock)
        yield start
        published = self.policy.range == "published"
        stop_up = last - 1 if published and not system.last_slice else last
        stop_down = first + 1 if published and not system.first_slice else first
        for indices in (range(middle + 1, stop_up + 1), range(middle - 1, stop_down - 1, -1)):
            before = start
            for index in indices:
                before = self._answer(index, corners, before, clock)
                yield before

    def _corners(self, box: Box) -> Corners:
        """A half-open box in two dimensions as the closed one that the systems know, within the slice."""
        height, width = self._slice_shape()
        low = [min(max(0.0, v), n - 1.0) for v, n in zip(box.low, (width, height), strict=True)]
        high = [min(max(a, v - 1.0), n - 1.0) for a, v, n in zip(low, box.high, (width, height), strict=True)]
        return low[0], low[1], high[0], high[1]

    def _slice_shape(self) -> tuple[int, int]:
        shape = self._ready()[0].shape
        kept = shape if len(shape) == 2 else tuple(n for a, n in enumerate(shape) if a != self._axis)
        return kept[0], kept[1]

    def _answer(self, index: int, corners: Corners, before: SliceAnswer | None, clock: Clock) -> SliceAnswer:
        """The answer on one slice, by the mask of the slice before where that has one, and else by the box itself."""
        _, network = self._ready()
        system = network.system
        view, features = self._cache.get_or_make(index, lambda i: self._encode(i, clock))
        began = time.perf_counter()
        following = following_box(before, view.frame, system) if before is not None else None
        on_grid = following if following is not None else box_on_grid(corners, view.frame, system)
        offset = 0.0 if system.half_pixel else 0.5
        boxes = np.array([on_grid], dtype=np.float32) - np.float32(offset)
        more = system.prompter(view, corners_of(on_grid, view.frame), on_grid)
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
        """One answer for the image from those of its slices."""
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
    """Axis (array order) across which a volume is sliced: the first, as the systems were trained on.

    Only where the spacing of another axis is much larger are the slices cut across that one.
    """
    spacing = image.geometry.array_spacing
    largest = int(np.argmax(spacing))
    return largest if spacing[largest] > FLAT * spacing[0] else 0


def box_on_grid(corners: Corners, frame: Frame, system: System) -> Corners:
    """A box's corners on the grid, as the system takes them."""
    scaled = [c * s for c, s in zip(corners, (*frame.scale[::-1], *frame.scale[::-1]), strict=True)]
    x0, y0, x1, y1 = (float(int(c)) for c in scaled) if system.whole_boxes else scaled
    return x0, y0, x1, y1


def corners_of(on_grid: Corners, frame: Frame) -> Corners:
    """Corners on the grid in pixels of the slice."""
    x0, y0, x1, y1 = (c / s for c, s in zip(on_grid, (*frame.scale[::-1], *frame.scale[::-1]), strict=True))
    return x0, y0, x1, y1


def following_box(before: SliceAnswer, frame: Frame, system: System) -> Corners | None:
    """The next slice's box on the grid: the extent of the mask before, enlarged; None where there is no mask."""
    if before.region.is_empty:
        return None
    if system.follow == "image":
        extent = mask_region(before.mask).shift(before.region.start)
        if extent.is_empty:
            return None
        (top, left), (bottom, right) = extent.start, extent.stop
        found = box_on_grid((left, top, right - 1.0, bottom - 1.0), frame, system)
    else:
        whole = np.zeros(frame.shape, dtype=np.uint8)
        whole[before.region.slices] = before.mask
        extent = mask_region(resize(whole, frame.inner, "area") > COVERED)
        if extent.is_empty:
            return None
        (top, left), (bottom, right) = extent.start, extent.stop
        found = (float(left), float(top), right - 1.0, bottom - 1.0)
    margin = system.margin * frame.side / LOGITS_SIDE
    low, high = 0.0, float(frame.side)
    x0, y0, x1, y1 = (
        min(max(low, c + d), high) for c, d in zip(found, (-margin, -margin, margin, margin), strict=True)
    )
    return x0, y0, x1, y1


def covered_by_grid(shape: tuple[int, int], system: System) -> tuple[tuple[float, float], ...]:
    """What the grid covers, in the slice's pixels, edge to edge per axis; padding lies beyond the slice."""
    scale = Frame.of(shape, system.side, system.framing).scale
    return tuple((0.0, system.side / s) for s in scale)
