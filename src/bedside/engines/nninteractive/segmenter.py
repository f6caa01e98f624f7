"""nnInteractive's inference: prompts that age, windows of whole voxels, and a coarse look before the fine ones.

arXiv 2503.08373, the loop of version 2. The network sees raw voxels whatever their spacing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.image import Image
from bedside.core.no_data import absent
from bedside.core.prompts import Box, InitialMask, Prompt
from bedside.core.region import Region, mask_region
from bedside.engines.answer import Answer
from bedside.engines.nninteractive.channels import box_region
from bedside.engines.nninteractive.cube import (
    cube_region,
    expand_mask,
    inside_image,
    part_of,
    sample_image,
    sample_nearest,
    sample_prompts,
)
from bedside.engines.nninteractive.nonzero import nonzero_statistics
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.placed import INPUT, OUTPUT, Clock, PlacedMask, check_prompts
from bedside.engines.protocol import Capabilities, Prediction
from bedside.engines.strategy import Scene, WindowStrategy
from bedside.imaging.window import Window
from bedside.runtime.backend import Graph


@dataclass(frozen=True, eq=False)
class Samples:
    """An image as the network is to see it.

    Attributes:
        array: (z, y, x); all of the image, or the box of its samples other than zero.
        start: Where ``array`` begins in the image.
        statistics: Mean and deviation over the box of the samples other than zero.
        shape: Shape of the image.
    """

    array: NDArray[np.generic]
    start: tuple[int, ...]
    statistics: tuple[float, float]
    shape: tuple[int, ...]


class InteractionSegmenter:
    """A network that takes prompts as nnInteractive does, on volumes.

    Every prompt in force is painted again for each prediction, so that a prediction depends on image, prompts and the
    mask before alone; the last prompt has the value 1 and each earlier one is fainter by the checkpoint's decay.

    Args:
        name: Model in the registry.
        graph: The loaded network.
        grid: Cells along each side of its input.
        capabilities: What prompts it takes.
        settings: What its checkpoint says of prompts.
        strategy: What chooses windows.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        grid: int,
        capabilities: Capabilities,
        settings: InteractionSettings,
        strategy: WindowStrategy,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.settings = settings
        self.strategy = strategy
        self._graph = graph
        self._grid = (grid,) * 3
        self._samples: Samples | None = None

    def set_image(self, image: Image) -> None:
        """Take a volume and measure its intensities.

        Raises:
            InputError: It is no volume, or zero everywhere.
        """
        if image.ndim != 3:
            raise InputError(
                f"image for '{self.name}'", expected="a volume", got=f"{image.ndim} axes", fix="use bedside-2d"
            )
        array = image.array
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            # One sample that is not a number would make the whole normalised image so.
            array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
        missing = absent(array, image.no_data)
        if missing is not None and not missing.all():
            # What is no measurement would be most of the deviation; it is shown as the darkest there is.
            array = np.where(missing, array[~missing].min(), array)
        statistics = nonzero_statistics(array)
        region = mask_region(array) if self.strategy.crops_to_nonzero else Region.whole(array.shape)
        self._samples = Samples(array[region.slices], region.start, statistics, image.shape)
        self._image = image

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Predict the prompts; see ``protocol.Segmenter``.

        Where several prompts are new, the last one places the window.

        Raises:
            PromptError: A prompt lies outside the image or is of a kind that the network was not trained with.
        """
        if self._samples is None:
            raise InputError("prediction", expected="an image first", got="none", fix="call set_image before predict")
        placed = check_prompts(prompts, self._image, self.capabilities)
        self._check_boxes(placed)
        asked, start = since_mask(placed, previous, fresh)
        known = previous if previous is not None and previous.any() else None
        if not asked:
            assert start is not None
            return _unchanged(start, known, self._grid)
        clock = Clock()
        scene = Scene(self._samples.shape, self._grid, asked, start)
        answer = self._zoom(scene, clock)
        patch = self._commit(answer, scene, clock)
        return _prediction(patch, start, known, answer, clock)

    def _check_boxes(self, prompts: Sequence[Prompt]) -> None:
        for prompt in prompts:
            if isinstance(prompt, Box) and self.capabilities.flat_boxes and min(box_region(prompt).shape) > 1:
                raise PromptError(
                    f"box for '{self.name}'",
                    expected="a box on one slice, of any plane",
                    got=" x ".join(str(n) for n in box_region(prompt).shape[::-1]) + " voxels",
                    fix="draw it on the object's middle slice, one voxel thick, as in x0,y0,z,x1,y1,z+1",
                )

    def _zoom(self, scene: Scene, clock: Clock) -> Answer:
        """Ask in windows that grow as the strategy wants."""
        windows: list[Window] = []
        window: Window | None = self.strategy.first(scene)
        before = None if scene.previous is None else PlacedMask(scene.previous, (0,) * 3)
        while window is not None:
            windows.append(window)
            answer = self._ask(window, scene, before, clock)
            if scene.previous is None:
                known = np.zeros(self._grid, dtype=bool)
            else:
                known = sample_nearest(scene.previous, window)
            window = self.strategy.following(windows, answer.mask, known)
        return answer

    def _ask(self, window: Window, scene: Scene, before: PlacedMask | None, clock: Clock) -> Answer:
        """Run the network on one window."""
        assert self._samples is not None
        began = time.perf_counter()
        stacked = np.empty((1, 1 + self.settings.channels, *self._grid), dtype=np.float32)
        offset = [-s for s in self._samples.start]
        stacked[0, 0] = sample_image(self._samples.array, window.shifted(offset), self._samples.statistics)
        mask, origin = (None, (0, 0, 0)) if before is None else (before.mask, before.start)
        stacked[0, 1:] = sample_prompts(scene.prompts, mask, window, self.settings, origin)
        clock.seconds["window"] += time.perf_counter() - began
        logits = clock.run(self._graph, {INPUT: stacked})[OUTPUT][0, 0]
        return Answer(window, logits, inside_image(window, scene.shape))

    def _commit(self, answer: Answer, scene: Scene, clock: Clock) -> PlacedMask:
        """Return the object's mask where it is new: the prediction itself, or what finer windows make of it."""
        began = time.perf_counter()
        region = cube_region(answer.window).clip(scene.shape)
        coarse = expand_mask(answer.mask, answer.window, region)
        before = _part(scene.previous, region)
        windows = list(self.strategy.refinements(coarse, before, region, answer.window, scene))
        if not windows:
            clock.seconds["paste"] += time.perf_counter() - began
            return PlacedMask(coarse, region.start)
        whole = region
        for window in windows:
            whole = whole.union(cube_region(window).clip(scene.shape))
        # Finer windows see the coarse mask and each other's, but only what they drew themselves is kept.
        seen = PlacedMask(_part(scene.previous, whole), whole.start)
        seen.mask[_within(region, whole)] = coarse
        kept = PlacedMask(_part(scene.previous, whole), whole.start)
        clock.seconds["paste"] += time.perf_counter() - began
        for window in windows:
            finer = self._ask(window, scene, seen, clock)
            began = time.perf_counter()
            inner = cube_region(window).clip(scene.shape)
            values = expand_mask(finer.mask, window, inner)
            seen.mask[_within(inner, whole)] = values
            kept.mask[_within(inner, whole)] = values
            clock.seconds["paste"] += time.perf_counter() - began
        return kept


def since_mask(
    prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None, fresh: int
) -> tuple[list[Prompt], NDArray[np.uint8] | None]:
    """Return the prompts since the last initial mask, which makes the network forget those before, and the mask to
    start from.

    The mask before is newer than an initial mask that is not among the ``fresh`` prompts.
    """
    known = previous if previous is not None and previous.any() else None
    places = [n for n, prompt in enumerate(prompts) if isinstance(prompt, InitialMask)]
    if not places:
        return list(prompts), known
    initial = prompts[places[-1]]
    assert isinstance(initial, InitialMask)
    newer = known is not None and places[-1] < len(prompts) - fresh
    return list(prompts[places[-1] + 1 :]), known if newer else initial.mask.astype(np.uint8)


def _prediction(
    patch: PlacedMask,
    start: NDArray[np.uint8] | None,
    known: NDArray[np.uint8] | None,
    answer: Answer,
    clock: Clock,
) -> Prediction:
    """Return the prediction for a caller who knows the mask ``known``; what was started from and is not known comes
    along.
    """
    region = Region(patch.start, tuple(a + n for a, n in zip(patch.start, patch.mask.shape, strict=True)))
    mask = patch.mask
    if start is not None and start is not known:
        # A mask to start from takes the place of the one before, wherever either is.
        whole = region.union(mask_region(start))
        if known is not None:
            whole = whole.union(mask_region(known))
        mask = _part(start, whole)
        mask[_within(region, whole)] = patch.mask
        region = whole
    changed = mask_region(mask != _part(known, region)).shift(region.start)
    window = tuple(zip(answer.window.start, answer.window.stop, strict=True))
    return Prediction(mask, region, answer.logits, window, changed, clock.seconds, clock.passes)


def _unchanged(start: NDArray[np.uint8], known: NDArray[np.uint8] | None, grid: tuple[int, ...]) -> Prediction:
    """Return an initial mask that nothing corrects is the prediction."""
    region = mask_region(start)
    if known is not None:
        region = region.union(mask_region(known))
    mask = _part(start, region)
    changed = mask_region(mask != _part(known, region)).shift(region.start)
    return Prediction(mask, region, np.zeros((0,) * len(grid), np.float32), (), changed, {}, 0)


def _part(mask: NDArray[np.uint8] | None, region: Region) -> NDArray[np.uint8]:
    """Return a copy of a mask of the image on a region, nothing where there is none."""
    if mask is None:
        return np.zeros(region.shape, dtype=np.uint8)
    part: NDArray[np.uint8] = (part_of(mask, region) != 0).astype(np.uint8)
    return part


def _within(inner: Region, outer: Region) -> tuple[slice, ...]:
    return inner.shift([-s for s in outer.start]).slices
