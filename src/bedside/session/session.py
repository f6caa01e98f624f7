"""A session: one image, its objects, and the prompts that made their masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError, PromptError
from bedside.core.image import Image
from bedside.core.labels import OverlapPolicy, free_label, merge_masks
from bedside.core.mask import PackedMask
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import PROMPT_KINDS, InitialMask, Prompt
from bedside.core.region import Region
from bedside.core.stopping import take_change
from bedside.session.advice import Advice
from bedside.session.answers import Answers
from bedside.session.edits import Edits
from bedside.session.finding import Finding
from bedside.session.journal import (
    Event,
    History,
    Journal,
    ObjectJournal,
    Prompted,
    Recorder,
    Redone,
    Removed,
    Undone,
    history,
    with_labels,
)
from bedside.session.linking import Linking
from bedside.session.masks import Canvas, KeptMask
from bedside.session.objects import ObjectState, SessionObject
from bedside.session.opening import check_journal, open_image, open_segmenter
from bedside.session.propagating import Propagating
from bedside.session.segmentations import Segmentations
from bedside.session.stamp import ImageStamp
from bedside.weights.defaults import default_model

if TYPE_CHECKING:
    from bedside.engines.protocol import Capabilities, Segmenter


class Session(Segmentations, Advice, Edits, Propagating, Finding, Linking):
    """Objects on one image, each made from prompts, with undo, redo and a journal that can be saved.

    The journal is the truth: an object's mask is a function of the image, the model and the prompts in force, so
    a session that is saved, reloaded and replayed gives the identical masks. A call that raises changes nothing.

    Args:
        image: An image, an array (y, x), (y, x, 3) or (z, y, x), or a file to read.
        model: Name of a model in the registry; by default the bundled one for images or for volumes.
        device: "auto", "cpu" or "cuda".
        segmenter: Predicts instead of a model that is loaded by name. It serves this session alone, because it
            holds the session's image.

    Raises:
        InputError: The model is unknown.
        FormatError: The file cannot be read as an image.
    """

    def __init__(
        self,
        image: Image | NDArray[Any] | str | Path,
        model: str | None = None,
        device: str = "auto",
        segmenter: Segmenter | None = None,
    ) -> None:
        self.image = open_image(image)
        self._device = device
        self._segmenter = segmenter or open_segmenter(model or default_model(self.image.shape), device)
        self._segmenter.set_image(self.image)
        self._answers = Answers(self._segmenter, self.image.geometry, Canvas(self.image.shape))
        self._states: dict[int, ObjectState] = {}
        self._current: int | None = None
        self._last_prompt = 0
        self._recorder: Recorder | None = None
        self._last_label = 0
        self._rounds = {}

    # Objects

    @property
    def model(self) -> str:
        """Name of the model that predicts."""
        return self._segmenter.name

    @property
    def segmenter(self) -> Segmenter:
        """What predicts the prompts."""
        return self._segmenter

    @property
    def capabilities(self) -> Capabilities:
        """What prompts the model takes."""
        return self._answers.capabilities

    @property
    def objects(self) -> tuple[SessionObject, ...]:
        """All objects, the oldest first."""
        return tuple(s.view(self._answers.quality(s.history.prompts)) for s in self._states.values())

    @property
    def current(self) -> SessionObject | None:
        """The object that prompts go to; None before the first."""
        state = self._states.get(self._current) if self._current is not None else None
        if state is None:
            return None
        # Alone, as the views of all the others would be made for nothing.
        return state.view(self._answers.quality(state.history.prompts))

    def add_object(self, name: str | None = None, colour: str | None = None, label: int | None = None) -> SessionObject:
        """Begin a new object, which becomes the current one.

        Args:
            name: What to call it; "object N" by default.
            colour: "#rrggbb" for drawing.
            label: Its value in the label map; by default one more than any that was used so far, so that an object
                begun after another was deleted does not pass for that one.

        Raises:
            InputError: The colour is not of that form, or the label is taken or not from 1 to 65,535.
        """
        number = max(self._states, default=0) + 1
        journal = ObjectJournal(number, name or f"object {number}", colour, (), self._free_label(label))
        self._states[number] = ObjectState(journal, History(), PackedMask.empty(self.image.ndim))
        self._current = number
        return self.objects[-1]

    def select(self, object_id: int) -> None:
        """Make an object the current one.

        Raises:
            InputError: There is no such object.
        """
        self._current = self._state(object_id).journal.id

    def set_label(self, object_id: int, label: int) -> None:
        """Give an object another value in the label map; those of other objects stay.

        Args:
            object_id: The object.
            label: 1 to 65,535.

        Raises:
            InputError: There is no such object, or the label is another object's or out of range.
        """
        state = self._state(object_id)
        if label != state.journal.label:
            chosen = self._free_label(label)
            self._states[object_id] = replace(state, journal=replace(state.journal, label=chosen))

    def _free_label(self, label: int | None) -> int:
        """Return the label asked for, if it is free; the next one by default."""
        return free_label({state.journal.label for state in self._states.values()}, self._last_label, label)

    # Prompts

    def add(
        self, prompt: Prompt | PlacedPrompt, *, predict: bool = True, object_id: int | None = None
    ) -> Region | None:
        """Add a prompt of any kind to an object and have the model predict.

        Args:
            prompt: The prompt, in either frame, or one that was placed on the image's grid already.
            predict: False keeps the prompt back, to be predicted together with the next one that is predicted.
            object_id: The object; the current one by default, which is begun where there is none yet.

        Returns:
            The region in which the object's mask changed (empty where nothing did); None where no prediction was asked.

        Raises:
            PromptError: The prompt lies outside the image, or the model cannot take it or start from it.
            InputError: There is no such object.
            StoppedError: ``cancel`` was called, or ``time_limit`` is over.
        """
        placed = self._place(prompt)
        state = self._state(object_id) if object_id is not None or self._states else None
        event = Prompted(self._last_prompt + 1, placed.given, bool(predict))
        if event.predict:
            before = state.history.prompts if state else ()
            self._answers.check_start([*before, event], state.mask if state else PackedMask.empty(self.image.ndim))
        if state is None:
            begun = ObjectJournal(1, "object 1", label=self._free_label(None))
            state = ObjectState(begun, History(), PackedMask.empty(self.image.ndim))
        self._answers.placed[event.id] = placed
        changed = self._apply(state, event)
        self._last_prompt = event.id
        # An object that was begun for this prompt is kept only now that the prompt was predicted.
        if self._current is None:
            self._current = state.journal.id
        return changed if event.predict or isinstance(placed.given, InitialMask) else None

    def undo(self, object_id: int | None = None) -> Region | None:
        """Undo the last prompt or removal of an object.

        Returns:
            The region in which its mask changed; None where there was nothing to undo.
        """
        state = self._existing(object_id)
        return self._apply(state, Undone()) if state and state.history.actions else None

    def redo(self, object_id: int | None = None) -> Region | None:
        """Put back what was last undone.

        Returns:
            The region in which the mask changed; None where there was nothing to redo.
        """
        state = self._existing(object_id)
        return self._apply(state, Redone()) if state and state.history.undone else None

    def remove_prompt(self, prompt_id: int) -> Region:
        """Take one prompt away, wherever it stands; those after it are predicted again.

        Returns:
            The region in which the mask of its object changed.

        Raises:
            InputError: No prompt in force has that number.
        """
        for state in self._states.values():
            if any(p.id == prompt_id for p in state.history.prompts):
                return self._apply(state, Removed(prompt_id))
        numbers = [p.id for state in self._states.values() for p in state.history.prompts]
        raise InputError("prompt to remove", expected=f"one of {numbers}", got=prompt_id)

    # Masks

    @property
    def mask(self) -> NDArray[np.uint8]:
        """The current object's mask: uint8 0/1 of the image's spatial shape, a copy; all zero without an object."""
        return self.mask_of(self._current) if self._current is not None else np.zeros(self.image.shape, np.uint8)

    @property
    def masks(self) -> dict[int, NDArray[np.uint8]]:
        """Every object's mask (see ``mask``) by the object's number."""
        return {number: self.mask_of(number) for number in self._states}

    def mask_of(self, object_id: int, within: Region | None = None) -> NDArray[np.uint8]:
        """Return an object's mask, uint8 0/1: the part in the region ``within``, by default of the whole image.

        Raises:
            InputError: There is no such object.
        """
        state = self._state(object_id)
        wanted = Region.whole(self.image.shape) if within is None else within.clip(self.image.shape)
        if wanted.is_empty:
            return np.zeros(wanted.shape, dtype=np.uint8)
        union = wanted.union(state.mask.region)
        return state.mask.patch(union)[wanted.shift([-a for a in union.start]).slices]

    def label_map(self, policy: OverlapPolicy = "keep") -> NDArray[Any]:
        """Return all objects in one map of the image's spatial shape, each with the value of its label.

        Args:
            policy: Who gets a voxel that several objects claim (see ``bedside.core.labels.merge_masks``).

        Raises:
            InputError: There is no object, or the policy is unknown.
        """
        packed = [state.mask for state in self._states.values()]
        union = Region.empty(self.image.ndim)
        for mask in packed:
            union = union.union(mask.region)
        # Merged within the region that holds all objects: dense masks of a whole volume would not fit many objects.
        values = [int(state.journal.label or 0) for state in self._states.values()]
        labels = merge_masks([mask.patch(union) for mask in packed], policy, values)
        stack = labels.shape[: labels.ndim - self.image.ndim]
        result = np.zeros((*stack, *self.image.shape), dtype=labels.dtype)
        inside: tuple[Any, ...] = (..., *union.slices)
        result[inside] = labels
        return result

    # The journal

    @property
    def journal(self) -> Journal:
        """The session's journal; reads the image once to identify it."""
        objects = tuple(state.journal for state in self._states.values())
        return Journal(objects, self.model, self._stamp, self._current)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time of the model's predictions so far, by stage."""
        return dict(self._answers.seconds)

    @property
    def passes(self) -> int:
        """Times that the network has run."""
        return self._answers.passes

    def show(self) -> Any:
        """Return a widget for Jupyter: slices with the masks, on which clicks are prompts, with undo and objects.

        Raises:
            DependencyError: anywidget is not installed.
        """
        from bedside.session.widget import show

        return show(self)

    def save(self, path: str | Path) -> None:
        """Write the journal to ``path`` as JSON, atomically."""
        self.journal.save(path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        image: Image | NDArray[Any] | str | Path,
        model: str | None = None,
        device: str = "auto",
        segmenter: Segmenter | None = None,
    ) -> Session:
        """Return the session saved at ``path``, replayed on ``image``.

        Args:
            path: A journal.
            image: The image that the journal was made on.
            model: Another model than the journal's.
            device: "auto", "cpu" or "cuda".
            segmenter: Predicts instead of a model that is loaded by name.

        Raises:
            FormatError: The file is no journal.
            InputError: The journal was made on another image.
            PromptError: The model cannot take one of its prompts.
        """
        return cls.from_journal(Journal.load(path), image, model, device, segmenter)

    @classmethod
    def from_journal(
        cls,
        journal: Journal,
        image: Image | NDArray[Any] | str | Path,
        model: str | None = None,
        device: str = "auto",
        segmenter: Segmenter | None = None,
    ) -> Session:
        """Return the session that ``journal`` describes, replayed on ``image``; see ``load``."""
        opened = open_image(image)
        stamp = check_journal(journal, opened)
        session = cls(opened, model or journal.model, device, segmenter)
        if stamp is not None:
            session._stamp = stamp
        session.restore(journal)
        return session

    def restore(self, journal: Journal, known: Mapping[int, KeptMask] | None = None) -> None:
        """Take over the objects of ``journal`` in place of this session's own, and predict their prompts.

        Args:
            journal: One made on this image (``bedside.session.opening.check_journal`` makes sure of it).
            known: Masks by object that this model made of just these prompts, which need no prediction any more.

        Raises:
            PromptError: The model cannot take one of its prompts. The session stays as it was.
        """
        given = (event for item in journal.objects for event in item.events if isinstance(event, Prompted))
        placed = {event.id: self._place(event.prompt) for event in given}
        # Prompt numbers of the two journals mean different prompts, so nothing remembered may be used.
        answers = Answers(self._segmenter, self.image.geometry, Canvas(self.image.shape), placed=placed)
        states: dict[int, ObjectState] = {}
        for item in with_labels(journal.objects):
            past = history(item.events)
            if known and item.id in known:
                answers.remember(past.prompts, known[item.id])
            states[item.id] = ObjectState(item, past, answers.mask(past.prompts))
        self._answers, self._states, self._current = answers, states, journal.current
        self._last_prompt = max(placed, default=0)

    def replay(self, model: str | None = None, device: str | None = None, segmenter: Segmenter | None = None) -> None:
        """Predict every prompt in force again, on another model where one is given.

        Args:
            model: Name of a model; by default the one in use.
            device: "auto", "cpu" or "cuda"; by default the one in use.
            segmenter: Predicts instead of a model that is loaded by name.

        Raises:
            PromptError: The model cannot take one of the prompts. The session stays as it was.
        """
        if segmenter is None:
            segmenter = self._segmenter if model is None else open_segmenter(model, device or self._device)
        fresh = Session(self.image, segmenter=segmenter)
        with self._may_stop():
            fresh.restore(Journal(tuple(state.journal for state in self._states.values()), current=self._current))
            take_change()
        self._segmenter, self._answers, self._states = fresh._segmenter, fresh._answers, fresh._states

    # Inside

    @cached_property
    def _stamp(self) -> ImageStamp:
        return ImageStamp.of(self.image)

    def _place(self, prompt: Prompt | PlacedPrompt) -> PlacedPrompt:
        """Return the prompt on the image's grid, checked against the image and the model."""
        given = prompt.given if isinstance(prompt, PlacedPrompt) else prompt
        if not isinstance(given, get_args(Prompt)):
            raise PromptError("prompt", expected=f"one of {', '.join(PROMPT_KINDS)}", got=repr(given)[:80])
        kinds = self.capabilities.prompt_kinds if given.positive else self.capabilities.negative_kinds
        # A mask needs no leave of the model: it takes the place of the current one without asking it.
        if given.kind != InitialMask.kind and given.kind not in kinds:
            sign = "" if given.positive else "negative "
            raise PromptError(
                f"{self.model} takes no {sign}{given.kind} prompts", expected=f"{sign}{', '.join(sorted(kinds))}"
            )
        return PlacedPrompt.of(prompt, self.image.geometry)

    def record_events(self, recorder: Recorder) -> None:
        """Have ``recorder`` keep every event from now on, before the mask that follows from it is made."""
        self._recorder = recorder

    def _apply(self, state: ObjectState, event: Event) -> Region:
        """Apply ``event`` to an object: nothing is kept unless the mask that follows could be made."""
        past = state.history.after(event)
        if self._recorder is not None:
            self._recorder.record(state.journal, event)
        try:
            with self._may_stop():
                mask = self._answers.mask(past.prompts)
                if not isinstance(event, Prompted) or event.predict:  # One that waits may still be ended with the next.
                    take_change()
        except BaseException:
            if self._recorder is not None:
                self._recorder.withdraw(state.journal)
            raise
        journal = state.journal.append(event)
        self._states[journal.id] = replace(state, journal=journal, history=past, mask=mask)
        return state.mask.changed(mask)

    def _existing(self, object_id: int | None) -> ObjectState | None:
        return self._state(object_id) if object_id is not None or self._current is not None else None

    def _state(self, object_id: int | None) -> ObjectState:
        number = self._current if object_id is None else object_id
        if not isinstance(number, int | np.integer) or number not in self._states:
            raise InputError("object", expected=f"one of {sorted(self._states)}", got=number)
        return self._states[number]
