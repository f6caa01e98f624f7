"""The window engine: choose a window by the prompts, resample, ask the network, grow, refine, paste.

One engine for two and three dimensions. Everything is done on the window; of the image only the voxels that the window
covers are read, and of the mask only those are written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BackendError, InputError
from bedside.core.image import Image
from bedside.core.prompts import Box, InitialMask, Lasso, Point, Prompt, cut_off
from bedside.core.region import Region, mask_region
from bedside.engines.answer import Answer, answer_bounds, answer_score, choose_answer, touches_border
from bedside.engines.contrast import agrees, contrast_masks, contrast_window
from bedside.engines.evidence import Bounds, Evidence, gather_evidence, prompt_bounds
from bedside.engines.obey import bend_logits, keep_given, prompts_in_force, stamp_prompts
from bedside.engines.placed import INPUT, OUTPUT, Clock, PlacedMask, check_prompts, starting_mask
from bedside.engines.protocol import MOST_CANDIDATES, Capabilities, Prediction, prediction_overlap
from bedside.engines.strategy import Scene, WindowStrategy
from bedside.engines.uncertainty import Calibration, estimate_kind, expected_dsc, most_doubtful_cell
from bedside.engines.window.encodings import DEFAULT, ENCODINGS, PromptEncoding
from bedside.engines.window.parts import Part, PartAnswer, divide_parts, territory, unite_answers
from bedside.engines.window.policy import WindowPolicy
from bedside.engines.window.refine import refinement_windows, thickness
from bedside.imaging.intensity import normalise_window
from bedside.imaging.kept import KeptShapes, keeping
from bedside.imaging.window import Window
from bedside.runtime.backend import Graph

SAME = 0.8
"""Overlap (intersection over union) from which two candidates are the same."""
LARGEST_SHARE = 0.85
"""Of the usual window's side, above which a window around new clicks would show little more than that."""

log = logging.getLogger("bedside.engines")


class WindowSegmenter:
    """A network of the window family on images of its own number of dimensions.

    Args:
        name: Model in the registry.
        graph: The loaded network.
        dimensions: 2 or 3.
        grid: Cells along each side of the network's input.
        capabilities: What prompts it takes.
        policy: How windows are chosen.
        strategy: What chooses windows instead of the policy's evidence, search and growth.
        fine: Gives the network on twice the grid, where it was trained on that, too; called when it is first needed.
        calibration: From the DSC that probabilities promise to the one to expect; None gives no estimates.
        encoding: How prompts become channels; None for the painted ones.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        dimensions: int,
        grid: int,
        capabilities: Capabilities,
        policy: WindowPolicy,
        strategy: WindowStrategy | None = None,
        calibration: Calibration | None = None,
        encoding: PromptEncoding | None = None,
        fine: Callable[[], Graph] | None = None,
    ) -> None:
        self.name = name
        self.capabilities = replace(
            capabilities, suggests=True, proposes=strategy is None, estimates=calibration is not None
        )
        self.policy = policy
        self.calibration = calibration
        self.strategy = strategy
        self.encoding = encoding or ENCODINGS.get(DEFAULT)
        self._graph = graph
        self._fine = fine
        self._grid = (grid,) * dimensions
        self._image: Image | None = None
        self._shapes = KeptShapes()

    def set_image(self, image: Image) -> None:
        """Take an image of the network's dimensions.

        Raises:
            InputError: It has another number of dimensions.
        """
        if image.ndim != len(self._grid):
            raise InputError(f"image for '{self.name}'", expected=f"{len(self._grid)} axes", got=image.ndim)
        self._image = image
        self._shapes = KeptShapes()

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Predict the prompts; see ``protocol.Segmenter``."""
        image = self._require_image()
        placed = [
            cut_off(p, image.geometry) if isinstance(p, Box) else p
            for p in check_prompts(prompts, image, self.capabilities)
        ]
        parts = divide_parts(placed, fresh, image.geometry.array_spacing) if self.strategy is None else []
        previous = starting_mask(placed, previous)
        if len(parts) > 1:
            return self._predict_parts(parts, placed, previous)
        return self._predict_whole(placed, previous, fresh)

    def _predict_parts(
        self, parts: Sequence[Part], placed: Sequence[Prompt], previous: NDArray[np.uint8] | None
    ) -> Prediction:
        """Predict the parts that have new prompts, each by itself, and unite them with the others."""
        image = self._require_image()
        spacing = image.geometry.array_spacing
        known = mask_region(previous) if previous is not None else Region.empty(image.ndim)
        given = any(isinstance(p, InitialMask) for p in placed)
        answers = []
        for part in parts:
            if not (part.fresh or known.is_empty):
                continue
            before = None
            begun = previous is not None and (given or part.fresh < len(part.prompts))
            if previous is not None and begun:
                before = np.zeros_like(previous)
                before[known.slices] = previous[known.slices] * territory(part, parts, known, spacing)
            started = before is not None and before.any()
            prediction = self._predict_whole(part.prompts, before if started else None, part.fresh)
            answers.append(PartAnswer(part, prediction, begun))
        return unite_answers(answers, parts, previous, spacing)

    def _predict_whole(self, placed: Sequence[Prompt], previous: NDArray[np.uint8] | None, fresh: int) -> Prediction:
        """Predict what all prompts mean together."""
        with keeping(self._shapes):
            prediction = self._draw(placed, previous, fresh)
        if previous is None:
            return prediction
        before = previous[prediction.region.slices]
        mask = keep_given(prediction.mask, before, prediction.region, placed, fresh)
        if mask is prediction.mask:
            return prediction
        changed = mask_region(mask != before).shift(prediction.region.start)
        return replace(prediction, mask=mask, changed=changed, quality=None)

    def _draw(self, placed: Sequence[Prompt], previous: NDArray[np.uint8] | None, fresh: int) -> Prediction:
        """Ask the network, in as many windows as it takes."""
        image = self._require_image()
        before = PlacedMask(previous, (0,) * image.ndim) if previous is not None else None
        clock = Clock()
        if self.strategy is not None:
            return self._follow(self.strategy, Scene(image.shape, self._grid, placed, previous), before, clock)
        evidence = gather_evidence(placed, previous)
        closer = self._closer_window(placed, previous, fresh, evidence)
        if closer is not None:
            return self._paste(self._ask(closer, placed, before, clock), placed, previous, clock, self.policy)
        if evidence.extent is not None:
            zoom = self.policy.flat_zoom if evidence.flat else self.policy.object_zoom
            answer = self._ask(self._window_around(evidence.bounds, zoom), placed, before, clock)
        else:
            answer = self._settle(choose_answer(self._search(evidence, placed, clock)), placed, clock)
        answer = self._grow(answer, placed, before, evidence, clock)
        policy = self.policy if evidence.extent is not None else self.policy.after_search()
        if self._asks_finer(answer):
            window = replace(answer.window, grid=tuple(2 * n for n in self._grid))
            try:
                answer, policy = self._ask(window, placed, before, clock), policy.after_fine()
            except (BackendError, MemoryError) as error:
                log.warning("bedside: warning: objects are looked at on the usual grid, not the fine one: %s", error)
                self._fine = None
        return self._paste(answer, placed, previous, clock, policy)

    def _closer_window(
        self, placed: Sequence[Prompt], previous: NDArray[np.uint8] | None, fresh: int, evidence: Evidence
    ) -> Window | None:
        """Return a smaller window around new clicks on a mask; None where it would show no more than the usual one."""
        clicks = placed[max(0, len(placed) - fresh) :]
        if previous is None or not all(isinstance(p, Point) for p in clicks):
            return None
        whole = self._window_around(evidence.bounds, self.policy.object_zoom)
        share = max(self.policy.correction_share, 1 / max(whole.scale))
        bounds = [prompt_bounds(p) for p in clicks]
        low, high = np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)
        sides = share * np.array(whole.sides)
        if share > LARGEST_SHARE or (high - low > sides / 2).any():
            return None
        return Window.centred(tuple((low + high) / 2), tuple(sides), self._grid)

    def _asks_finer(self, answer: Answer) -> bool:
        """Return whether twice the grid would show more of the object, and that is needed."""
        if self._fine is None or max(answer.window.scale) <= self.policy.fine_scale:
            return False
        return 0 < thickness(answer.mask) < self.policy.fine_thickness

    def _network(self, window: Window) -> Graph:
        return self._fine() if self._fine is not None and window.grid != self._grid else self._graph

    def _follow(self, strategy: WindowStrategy, scene: Scene, before: PlacedMask | None, clock: Clock) -> Prediction:
        """Ask in the windows that a strategy yields."""
        windows: list[Window] = []
        window: Window | None = strategy.first(scene)
        while window is not None:
            windows.append(window)
            answer = self._ask(window, scene.prompts, before, clock)
            known = before.sample(window)[0] > 0 if before is not None else np.zeros(self._grid, dtype=bool)
            window = strategy.following(windows, answer.mask, known)
        return self._paste(answer, scene.prompts, scene.previous, clock, self.policy)

    def _require_image(self) -> Image:
        if self._image is None:
            raise InputError("prediction", expected="an image first", got="none", fix="call set_image before predict")
        return self._image

    def _sides(self, extent: NDArray[np.float64]) -> tuple[float, ...]:
        """Return sides in voxels of a window of equal millimetres that holds ``extent`` voxels."""
        spacing = np.array(self._require_image().geometry.array_spacing)
        longest = max(float((extent * spacing).max()), self.policy.least_side * float(spacing.min()))
        return tuple(longest / spacing)

    def _window_around(self, bounds: Bounds, zoom: float) -> Window:
        return Window.centred(
            tuple((bounds[0] + bounds[1]) / 2), self._sides((bounds[1] - bounds[0]) * zoom), self._grid
        )

    def _ask(self, window: Window, prompts: Sequence[Prompt], before: PlacedMask | None, clock: Clock) -> Answer:
        """Run the network on one window."""
        began = time.perf_counter()
        image = self._require_image()
        samples, inside = window.sample(image.array)
        colours = normalise_window(samples, inside, window.sample_absent(image.array, image.no_data))
        if colours.shape[0] == 1 and len(self._grid) == 2:
            colours = np.repeat(colours, 3, axis=0)
        mask = before.sample(window) if before is not None else np.zeros((1, *window.grid), dtype=np.float32)
        on_grid = window.all_to_grid(prompts)
        painted = self.encoding.paint(on_grid, window.grid)
        stacked = np.concatenate([colours, *self.encoding.arrange(mask, painted)])[None]
        clock.seconds["window"] += time.perf_counter() - began
        logits = clock.run(self._network(window), {INPUT: stacked})[OUTPUT][0, 0]
        return Answer(window, bend_logits(logits, prompts_in_force(on_grid), self.encoding.click_radius), inside)

    def candidates(self, prompts: Sequence[Prompt], limit: int = MOST_CANDIDATES) -> list[Prediction]:
        """Return what else prompts may mean: other sizes, or masks by contrast in a box; see ``protocol.Proposing``."""
        image = self._require_image()
        placed = check_prompts(prompts, image, self.capabilities)
        evidence = gather_evidence(placed, starting_mask(placed, None))
        if self.strategy is not None:
            return [self.predict(placed)]
        clock = Clock()
        if evidence.extent is not None:
            return self._differing(self.predict(placed), self._by_contrast(placed, evidence, clock), limit)
        answers = self._search(evidence, placed, clock)
        order = [choose_answer(answers)]
        order += sorted((a for a in answers if a is not order[0]), key=answer_score, reverse=True)
        settled = (self._grow(self._settle(a, placed, clock), placed, None, evidence, clock) for a in order)
        pasted = (self._paste(a, placed, None, clock, self.policy.after_search()) for a in settled)
        return self._differing(next(pasted), pasted, limit)

    def _by_contrast(self, placed: Sequence[Prompt], evidence: Evidence, clock: Clock) -> Iterator[Prediction]:
        """Yield masks by contrast in the box around the object; none where something else than a box tells it."""
        image, bounds = self._require_image(), evidence.extent
        if bounds is None or evidence.flat or any(isinstance(p, InitialMask | Lasso) for p in placed):
            return
        window = contrast_window(bounds)
        samples, inside = window.sample(image.array)
        absent = window.sample_absent(image.array, image.no_data)
        known = inside if absent is None else inside & ~absent
        for found in contrast_masks(window, samples, known, bounds):
            if agrees(found.answer, placed):
                prediction = self._paste(found.answer, placed, None, clock, replace(self.policy, refine_limit=0))
                yield replace(prediction, quality=None)

    @staticmethod
    def _differing(first: Prediction, others: Iterable[Prediction], limit: int) -> list[Prediction]:
        """Return the first prediction, and of the others those that differ from it and from each other."""
        found = [first]
        if limit > 1:
            for other in others:
                if other.mask.any() and all(prediction_overlap(other, one) < SAME for one in found):
                    found.append(other)
                if len(found) == limit:
                    break
        return found

    def _search(self, evidence: Evidence, prompts: Sequence[Prompt], clock: Clock) -> list[Answer]:
        """Return predictions in windows of growing size around marks that do not tell the object's extent."""
        image = self._require_image()
        low, high = evidence.bounds
        spacing = np.array(image.geometry.array_spacing)
        finest = float(spacing.min())
        longest = float((np.array(image.shape) * spacing).max()) / finest
        side = max(self.policy.search_start, 1.5 * float(((high - low) * spacing).max()) / finest)
        answers: list[Answer] = []
        while True:
            side = min(side, longest)
            window = Window.centred(tuple((low + high) / 2), tuple(side * finest / spacing), self._grid)
            answers.append(self._ask(window, prompts, None, clock))
            if side >= longest:
                break
            side *= self.policy.search_ratio
        return answers

    def _settle(self, answer: Answer, prompts: Sequence[Prompt], clock: Clock) -> Answer:
        """Ask once more in the window that suits the object found."""
        bounds = answer_bounds(answer)
        if bounds is None:
            return answer
        window = self._window_around(bounds, self.policy.object_zoom)
        ratio = max(window.sides) / max(answer.window.sides)
        if 0.75 < ratio < 1.33:
            return answer
        following = self._ask(window, prompts, None, clock)
        return following if answer_score(following) >= answer_score(answer) else answer

    def _grow(
        self,
        answer: Answer,
        prompts: Sequence[Prompt],
        before: PlacedMask | None,
        evidence: Evidence,
        clock: Clock,
    ) -> Answer:
        """Enlarge the window while the prediction runs into a border behind which the image goes on."""
        for _ in range(self.policy.grow_limit):
            if not touches_border(answer, self._require_image().shape, self.policy.border_share):
                break
            larger = self._ask(answer.window.enlarged(self.policy.grow_factor), prompts, before, clock)
            # A box bounds the object: past it the prediction may not grow without end.
            if evidence.extent is not None and answer_score(larger) < 0.5 * answer_score(answer):
                break
            answer = larger
        return answer

    def _paste(
        self,
        answer: Answer,
        prompts: Sequence[Prompt],
        previous: NDArray[np.uint8] | None,
        clock: Clock,
        policy: WindowPolicy,
    ) -> Prediction:
        """Return the mask at full resolution within the window, its border refined where cells are much larger than
        voxels.
        """
        shape = self._require_image().shape
        began = time.perf_counter()
        region = answer.window.region(shape)
        mask = answer.window.expand_mask(answer.logits, region)
        clock.seconds["paste"] += time.perf_counter() - began
        before = previous[region.slices] if previous is not None else np.zeros_like(mask)
        windows: Iterable[Window] = ()
        if self.strategy is not None:
            scene = Scene(shape, self._grid, prompts, previous)
            windows = self.strategy.refinements(mask, before, region, answer.window, scene)
        elif max(answer.window.scale) > policy.refine_scale and policy.refine_limit and mask.any():
            windows = refinement_windows(answer.mask, answer.window, policy)
        self._refine(mask, region, windows, prompts, clock)
        stamp_prompts(mask, region, prompts_in_force(prompts))
        changed = mask_region(mask != before).shift(region.start)
        window = tuple(zip(answer.window.start, answer.window.stop, strict=True))
        kind = estimate_kind(prompts, previous is not None)
        quality = self.calibration(expected_dsc(answer), kind) if self.calibration else None
        return Prediction(mask, region, answer.logits, window, changed, clock.seconds, clock.passes, quality)

    def suggest(self, prompts: Sequence[Prompt], mask: NDArray[np.uint8]) -> Point | None:
        """Return where a click would help most; see ``protocol.Suggesting``."""
        placed = check_prompts(prompts, self._require_image(), self.capabilities)
        evidence = gather_evidence(placed, mask)
        if evidence.extent is None:
            return None
        before = PlacedMask(mask, (0,) * mask.ndim)
        answer = self._ask(self._window_around(evidence.bounds, self.policy.object_zoom), placed, before, Clock())
        doubt = most_doubtful_cell(answer, before.sample(answer.window)[0] > 0, self.encoding.click_radius)
        if doubt is None:
            return None
        window = answer.window
        place = [s + (c + 0.5) * n - 0.5 for s, c, n in zip(window.start, doubt[0], window.scale, strict=True)]
        index = tuple(int(np.clip(round(p), 0, n - 1)) for p, n in zip(place, mask.shape, strict=True))
        return Point(tuple(float(i) for i in index[::-1]), positive=not mask[index])

    def _refine(
        self,
        mask: NDArray[np.uint8],
        region: Region,
        windows: Iterable[Window],
        prompts: Sequence[Prompt],
        clock: Clock,
    ) -> None:
        """Draw the border again in smaller windows, each starting from the mask as it is, in place."""
        shape = self._require_image().shape
        coarse = PlacedMask(mask, region.start)
        for window in windows:
            inner = window.region(shape).intersection(region)
            if inner.is_empty:
                continue
            finer = self._ask(window, prompts, coarse, clock)
            began = time.perf_counter()
            mask[inner.shift([-s for s in region.start]).slices] = window.expand_mask(finer.logits, inner)
            clock.seconds["paste"] += time.perf_counter() - began
