"""The mask that prompts make: a pure function of image, model and prompts, with a memory of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from bedside.core.cache import LruCache
from bedside.core.errors import PromptError
from bedside.core.geometry import Geometry
from bedside.core.mask import PackedMask
from bedside.core.placed import PlacedPrompt, PlacedPrompts
from bedside.core.prompts import InitialMask, Point
from bedside.core.stopping import check_stop, report_progress
from bedside.engines.uncertainty import told_quality
from bedside.session.journal import Prompted
from bedside.session.masks import Canvas, KeptMask

if TYPE_CHECKING:
    from bedside.engines.protocol import Capabilities, Proposing, Segmenter, Suggesting

CACHE_BYTES = 128 * 2**20
"""Memory for the masks of earlier steps. A dropped one is made again when undo asks for it."""


class Answers:
    """Masks of one image and one model, by the prompts that made them.

    Args:
        segmenter: Holds the image already.
        geometry: Geometry of the image.
        canvas: Dense mask of the image's shape to work in.
        placed: Prompts known from the start, by number, on the image's grid.
        cache_bytes: Memory for the masks of earlier steps.

    Attributes:
        placed: Every prompt by its number, on the image's grid; the owner fills it before asking for a mask.
        seconds: Wall time of the predictions so far, by the segmenter's stages.
        passes: Times that the network has run.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        geometry: Geometry,
        canvas: Canvas,
        placed: dict[int, PlacedPrompt] | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.placed: dict[int, PlacedPrompt] = {} if placed is None else placed
        self.seconds: dict[str, float] = {}
        self.passes = 0
        self._segmenter = segmenter
        self._geometry = geometry
        self._canvas = canvas
        self._cache: LruCache[tuple[int, ...], PackedMask] = LruCache(cache_bytes, lambda mask: mask.nbytes)
        self._qualities: dict[tuple[int, ...], float | None] = {}

    @cached_property
    def capabilities(self) -> Capabilities:
        """What prompts the segmenter takes; asked for once, as a model may be loaded for it."""
        return self._segmenter.capabilities

    def mask(self, prompts: Sequence[Prompted]) -> PackedMask:
        """Return the mask that ``prompts`` of one object make, oldest first.

        Every prompt that is to be predicted is predicted with all prompts so far and the mask before it; one that
        waits changes nothing until then. An initial mask takes the place of the mask before it, unchanged. Where
        the prompts so far cannot begin an object (what began it was removed) the mask stays empty.

        Raises:
            PromptError: The segmenter rejects a prompt.
            StoppedError: The work is to end (see ``core.stopping``).
        """
        steps = self._steps(prompts)
        numbers = tuple(entry.id for entry in prompts)
        # Back to the last step that is remembered, or that was given as a mask; then forward again from there.
        done, mask = 0, PackedMask.empty(self._canvas.ndim)
        for position in range(len(steps), 0, -1):
            end = steps[position - 1]
            given = prompts[end - 1].prompt
            remembered = given.packed if isinstance(given, InitialMask) else self._cache.get(numbers[:end])
            if remembered is not None:
                done, mask = position, remembered
                break
        answered, left = [0, *steps], len(steps) - done
        for number, (end, before) in enumerate(zip(steps[done:], answered[done:], strict=False)):
            check_stop()
            if left > 1:
                report_progress(number, left)
            mask = self._step(prompts[:end], mask, end - before)
            self._cache.put(numbers[:end], mask)
        return mask

    def remember(self, prompts: Sequence[Prompted], kept: KeptMask) -> None:
        """Take what was kept for what ``prompts`` make, without asking."""
        steps = self._steps(prompts)
        if steps:
            numbers = tuple(entry.id for entry in prompts[: steps[-1]])
            self._cache.put(numbers, kept.mask)
            self._qualities[numbers] = kept.quality

    def quality(self, prompts: Sequence[Prompted]) -> float | None:
        """Return estimated DSC of the mask that ``prompts`` make; None where it was not estimated."""
        steps = self._steps(prompts)
        return self._qualities.get(tuple(entry.id for entry in prompts[: steps[-1]])) if steps else None

    def suggest(self, prompts: Sequence[Prompted], mask: PackedMask, segmenter: Suggesting) -> Point | None:
        """Return where a click would help the mask of ``prompts`` most; None where there is nothing to correct."""
        asked = self._asked(prompts)
        if mask.region.is_empty or not any(prompt.positive for prompt in asked):
            return None
        return segmenter.suggest(asked, self._canvas.show(mask))

    def candidates(self, prompts: Sequence[Prompted], segmenter: Proposing) -> tuple[InitialMask, ...]:
        """Return masks that ``prompts`` may mean, that of the model's prediction first."""
        asked = self._asked(prompts)
        if not any(prompt.positive for prompt in asked):
            return ()
        shape = self._geometry.shape
        return tuple(InitialMask.of_patch(p.mask, p.region, shape) for p in segmenter.candidates(asked))

    def check_start(self, prompts: Sequence[Prompted], mask: PackedMask) -> None:
        """Make sure that ``prompts``, the last of which is to be predicted, can begin an object or have begun one.

        Raises:
            PromptError: The object is empty and none of them can begin it.
        """
        if not isinstance(prompts[-1].prompt, InitialMask) and not self._starts(prompts, mask):
            kinds = sorted(self.capabilities.starts_from)
            raise PromptError(
                f"{self._segmenter.name} cannot start from this prompt",
                expected=f"a positive {' or '.join(kinds)} first",
                got=f"a {'positive' if prompts[-1].prompt.positive else 'negative'} {prompts[-1].prompt.kind}",
            )

    @staticmethod
    def _steps(prompts: Sequence[Prompted]) -> list[int]:
        """Return after how many prompts the mask changes, each time; those that wait at the end change nothing."""
        return [i + 1 for i, entry in enumerate(prompts) if entry.predict or isinstance(entry.prompt, InitialMask)]

    def _starts(self, prompts: Sequence[Prompted], mask: PackedMask) -> bool:
        starters = self.capabilities.starts_from
        return not mask.region.is_empty or any(e.prompt.positive and e.prompt.kind in starters for e in prompts)

    def _asked(self, prompts: Sequence[Prompted]) -> PlacedPrompts:
        """Return what the segmenter is given; one that does not know initial masks sees them as the previous mask
        anyway.
        """
        kinds = self.capabilities.prompt_kinds
        return PlacedPrompts((self.placed[e.id] for e in prompts if e.prompt.kind in kinds), self._geometry)

    def _step(self, prompts: Sequence[Prompted], before: PackedMask, fresh: int) -> PackedMask:
        last = prompts[-1].prompt
        if isinstance(last, InitialMask):
            return last.packed
        if not self._starts(prompts, before):
            return before
        prediction = self._segmenter.predict(self._asked(prompts), self._canvas.show(before), fresh)
        if not self.passes:
            # Until a model has predicted, its card may have spoken for it.
            self.__dict__.pop("capabilities", None)
        for stage, seconds in prediction.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        self.passes += prediction.passes
        union = before.region.union(prediction.region)
        patch = before.patch(union)
        if not prediction.region.is_empty:
            patch[prediction.region.shift([-a for a in union.start]).slices] = prediction.mask
        mask = PackedMask.of_patch(patch, union)
        earlier = self._qualities.get(tuple(entry.id for entry in prompts[:-fresh]))
        new = [self.placed[entry.id].prompt for entry in prompts[-fresh:]]
        quality = told_quality(prediction.quality, earlier, before.patch(union), patch, union.start, new)
        self._qualities[tuple(entry.id for entry in prompts)] = quality
        return mask
