"""A second image of the patient beside a session's own, which prompts may be predicted on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.image import Image
from bedside.core.mask import PackedMask
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import Box, InitialMask, Point, Prompt
from bedside.core.region import Region
from bedside.imaging.linked import LinkedImage, link_images
from bedside.session.answers import Answers
from bedside.session.journal import Prompted
from bedside.session.masks import Canvas
from bedside.session.objects import ObjectState
from bedside.session.opening import open_image
from bedside.session.stopping import Stopping

if TYPE_CHECKING:
    from bedside.engines.protocol import Segmenter


@dataclass(eq=False)
class _Second:
    """The second image as the session works on it.

    Attributes:
        linked: The image and its place.
        first: What predicts on the first image; after a change of model, or a journal that was taken over, it is
            another one, and what is remembered here means nothing any more.
        answers: What predicts on the second.
        made: By the number of a mask's prompt in the journal, the prompts on the second image that made the mask.
        last: Number of the last of those prompts.
    """

    linked: LinkedImage
    first: Answers
    answers: Answers
    made: dict[int, tuple[Prompted, ...]] = field(default_factory=dict)
    last: int = 0

    @cached_property
    def image(self) -> Image:
        """The whole second image on the first one's grid, made when it is first predicted on."""
        return self.linked.onto_grid()

    def entry(self, prompt: PlacedPrompt) -> Prompted:
        self.last += 1
        self.answers.placed[self.last] = prompt
        return Prompted(self.last, prompt.given)


class Linking(Stopping):
    """Linking a second image; a part of ``Session``."""

    image: Image
    _segmenter: Segmenter
    _states: dict[int, ObjectState]
    _answers: Answers
    _current: int | None
    _last_prompt: int
    _second: _Second | None = None

    def _state(self, object_id: int | None) -> ObjectState:
        raise NotImplementedError

    def _place(self, prompt: Prompt | PlacedPrompt) -> PlacedPrompt:
        raise NotImplementedError

    def add(self, prompt: Prompt, *, predict: bool = True, object_id: int | None = None) -> Region | None:
        """Add a prompt; see ``Session.add``."""
        raise NotImplementedError

    @property
    def second(self) -> LinkedImage | None:
        """The second image; None where none is linked."""
        return None if self._second is None else self._second.linked

    def link(self, second: LinkedImage | Image | NDArray[Any] | str | Path, *, register: bool = False) -> LinkedImage:
        """Link a second image of the patient, as a PET beside a CT, in place of any before; masks stay as they are.

        Args:
            second: A volume, a file to read, or what ``link_images`` made for this image.
            register: Whether to find by rigid registration how the patient moved between the two.

        Raises:
            InputError: As ``link_images``, or it was linked to another grid.
            FormatError: The file cannot be read as an image.

        Example:
            >>> session.link("pet.nii.gz")
            >>> session.add_on_second(Point((130, 96, 42)))
        """
        linked = second if isinstance(second, LinkedImage) else None
        if linked is None:
            linked = link_images(self.image, open_image(second), register=register)  # type: ignore[arg-type]
        if not linked.grid.matches(self.image.geometry):
            raise InputError("the second image", expected=f"linked to the grid of {self.image.shape}", got="another")
        self._second = self._begun(linked)
        return linked

    def unlink(self) -> None:
        """Let go of the second image; what was segmented on it stays."""
        self._second = None

    def add_on_second(self, prompt: Prompt | PlacedPrompt, *, object_id: int | None = None) -> Region:
        """Have the model predict a prompt on the second image, for a lesion that is seen there alone.

        The prompt is in the coordinates of the first image, and the mask lies on its grid. Prompts that follow for the
        same object correct it, on the second image with all that were given there in a row, or with ``add`` on the
        first. The journal holds the mask and not the prompt, so that it is replayed without the second image.

        Args:
            prompt: A box, click, scribble or lasso, in either frame of the first image.
            object_id: The object; the current one by default, which is begun where there is none yet.

        Returns:
            The region in which the object's mask changed.

        Raises:
            InputError: No second image is linked, or there is no such object.
            PromptError: The prompt lies outside of either image, or the model cannot take it, start from it or find
                anything.
            StoppedError: ``cancel`` was called, or ``time_limit`` is over.
        """
        if self._second is None:
            raise InputError("prompt on the second image", expected="a second image", got="none", fix="link one first")
        if self._second.first is not self._answers:
            self._second = self._begun(self._second.linked)
        second = self._second
        placed = self._place(prompt)
        if isinstance(placed.given, InitialMask):
            raise PromptError("prompt on the second image", expected="a box, click, scribble or lasso", got="a mask")
        if not second.linked.covers(_corners(placed.prompt)).any():
            raise PromptError("prompt on the second image", expected="a place that the image covers", got="one outside")
        state = self._state(object_id) if object_id is not None or self._current is not None else None
        before = state.mask if state else PackedMask.empty(3)
        entries = (*self._given(second, state), second.entry(placed))
        second.answers.check_start(entries, before)
        self._segmenter.set_image(second.image)
        try:
            with self._may_stop():
                mask = second.answers.mask(entries)
        finally:
            self._segmenter.set_image(self.image)
        if mask.region.is_empty:
            raise PromptError("prompt on the second image", expected="something to segment there", got="an empty mask")
        made = InitialMask.of_patch(mask.patch(), mask.region, self.image.shape)
        changed = self.add(made, object_id=object_id)
        second.made[self._last_prompt] = entries
        return changed or Region.empty(3)

    def _begun(self, linked: LinkedImage) -> _Second:
        known = self._second
        answers = Answers(self._segmenter, self.image.geometry, Canvas(self.image.shape))
        begun = _Second(linked, self._answers, answers)
        if known is not None and known.linked is linked and "image" in known.__dict__:
            begun.__dict__["image"] = known.image
        return begun

    def _given(self, second: _Second, state: ObjectState | None) -> tuple[Prompted, ...]:
        """Return what was given on the second image so far, or the mask that there is to begin from."""
        prompts = state.history.prompts if state else ()
        if prompts and prompts[-1].id in second.made:
            return second.made[prompts[-1].id]
        if state is None or state.mask.region.is_empty:
            return ()
        given = InitialMask.of_patch(state.mask.patch(), state.mask.region, self.image.shape)
        return (second.entry(PlacedPrompt.of(given, self.image.geometry)),)


def _corners(prompt: Prompt) -> NDArray[np.float64]:
    """Return the places, (n, 3) in (x, y, z) order, by which it is told whether a prompt lies on an image."""
    if isinstance(prompt, Point):
        return np.array([prompt.position], dtype=np.float64)
    if isinstance(prompt, Box):
        low, high = np.array(prompt.low), np.array(prompt.high) - 1
        return np.stack([low, high, (low + high) / 2])
    return np.array(getattr(prompt, "points", ()), dtype=np.float64).reshape(-1, 3)
