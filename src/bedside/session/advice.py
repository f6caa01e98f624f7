"""What a session's model thinks of its predictions: where to click next, and what else a click may mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedside.core.errors import InputError
from bedside.core.prompts import InitialMask, Point

if TYPE_CHECKING:
    from bedside.engines.protocol import Capabilities, Segmenter
    from bedside.session.answers import Answers
    from bedside.session.objects import ObjectState


class Advice:
    """Questions to the model that change nothing; a part of ``Session``."""

    _segmenter: Segmenter
    _answers: Answers

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
        return self._answers.suggest(state.history.prompts, state.mask, self._segmenter) if state else None

    def candidates(self, object_id: int | None = None) -> tuple[InitialMask, ...]:
        """Return masks that an object's prompts may mean, where they do not tell its size: the mask first, then others.

        ``add`` takes one in place of the mask, and ``undo`` gives that back:

            session.add_point((40, 52))
            small, *others = session.candidates()
            session.add(others[0])

        Args:
            object_id: The object; the current one by default.

        Returns:
            One alone where a box or a mask tells the size; none of an empty object.

        Raises:
            InputError: The model does not propose masks, or there is no such object.
        """
        from bedside.engines.protocol import Proposing

        if not isinstance(self._segmenter, Proposing) or not self.capabilities.proposes:
            raise InputError(f"model '{self.model}'", expected="one that proposes masks", got="one that does not")
        state = self._existing(object_id)
        return self._answers.candidates(state.history.prompts, self._segmenter) if state else ()
