"""What a session's model thinks of its predictions: where to click next, and what else a click may mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedside.core.errors import InputError
from bedside.core.prompts import InitialMask, Point, Prompt
from bedside.core.region import Region
from bedside.core.stopping import take_change
from bedside.session.stopping import Stopping

if TYPE_CHECKING:
    from bedside.engines.protocol import Capabilities, Segmenter
    from bedside.session.answers import Answers
    from bedside.session.objects import ObjectState


@dataclass(frozen=True)
class _Round:
    """What an object's first prompts may mean.

    Attributes:
        base: Numbers of those prompts.
        candidates: The masks.
        shown: Place of the one that is shown.
        picked: Number of the prompt that put it there; None of the model's own.
    """

    base: tuple[int, ...]
    candidates: tuple[InitialMask, ...]
    shown: int = 0
    picked: int | None = None


class Advice(Stopping):
    """Questions to the model that change nothing; a part of ``Session``."""

    _segmenter: Segmenter
    _answers: Answers
    _rounds: dict[int, _Round]

    @property
    def model(self) -> str:
        """Name of the model that predicts."""
        raise NotImplementedError

    @property
    def capabilities(self) -> Capabilities:
        """What prompts the model takes."""
        raise NotImplementedError

    def _existing(self, object_id: int | None) -> ObjectState | None:
        raise NotImplementedError

    def add(self, prompt: Prompt, *, predict: bool = True, object_id: int | None = None) -> Region | None:
        """Add a prompt; see ``Session.add``."""
        raise NotImplementedError

    def undo(self, object_id: int | None = None) -> Region | None:
        """Undo the last prompt; see ``Session.undo``."""
        raise NotImplementedError

    def suggest_click(self, object_id: int | None = None) -> Point | None:
        """Return the click expected to help an object most, with the sign it has if the mask is wrong there.

        Args:
            object_id: The object; the current one by default.

        Returns:
            A click to look at and to give or not; None where nothing seems wrong or the object is empty.

        Raises:
            InputError: The model does not suggest clicks, or there is no such object.
        """
        from bedside.engines.protocol import Suggesting

        if not isinstance(self._segmenter, Suggesting) or not self.capabilities.suggests:
            raise InputError(f"model '{self.model}'", expected="one that suggests clicks", got="one that does not")
        state = self._existing(object_id)
        if state is None:
            return None
        with self._may_stop():
            return self._answers.suggest(state.history.prompts, state.mask, self._segmenter)

    def candidates(self, object_id: int | None = None) -> tuple[InitialMask, ...]:
        """Return masks that an object's prompts may mean: the mask first, then others.

        ``add`` takes one in place of the mask, and ``undo`` gives that back:

            session.add_point((40, 52))
            small, *others = session.candidates()
            session.add(others[0])

        Args:
            object_id: The object; the current one by default.

        Returns:
            Of clicks and strokes alone, masks of other sizes; in a box, masks by contrast that agree with all marks;
            one alone where a lasso or a mask tells the object; none of an empty object.

        Raises:
            InputError: The model does not propose masks, or there is no such object.
        """
        from bedside.engines.protocol import Proposing

        if not isinstance(self._segmenter, Proposing) or not self.capabilities.proposes:
            raise InputError(f"model '{self.model}'", expected="one that proposes masks", got="one that does not")
        state = self._existing(object_id)
        if state is None:
            return ()
        with self._may_stop():
            return self._answers.candidates(state.history.prompts, self._segmenter)

    def show_next_candidate(self, object_id: int | None = None) -> Region | None:
        """Show the next of an object's ``candidates`` in place of its mask, and after the last the first again.

        The pick is a prompt like any other: ``undo`` takes it back, and corrections go on from it.

        Args:
            object_id: The object; the current one by default.

        Returns:
            The region in which the mask changed; None where the prompts mean one thing only.

        Raises:
            InputError: The model does not propose masks, or there is no such object.
        """
        state = self._existing(object_id)
        if state is None:
            return None
        number, force = state.journal.id, tuple(entry.id for entry in state.history.prompts)
        now = self._rounds.get(number)
        if now is None or force != (now.base if now.picked is None else (*now.base, now.picked)):
            now = _Round(force, self.candidates(number))
        take_change()
        if len(now.candidates) < 2:
            return None
        shown, changed = (now.shown + 1) % len(now.candidates), Region.empty(len(state.mask.region.start))
        if now.picked is not None:
            changed = self.undo(number) or changed
        picked = None
        if shown:
            changed = changed.union(self.add(now.candidates[shown], object_id=number) or changed)
            following = self._existing(number)
            picked = following.history.prompts[-1].id if following else None
        self._rounds[number] = _Round(now.base, now.candidates, shown, picked)
        return changed
