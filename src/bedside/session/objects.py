"""The objects of a session: as clients see them, and as the session keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bedside.core.mask import PackedMask
from bedside.session.journal import History, ObjectJournal, Prompted

Grade = Literal["good", "check", "doubtful"]
GOOD, FAIR = 0.85, 0.65
"""Estimated DSC from which a mask is good, and from which it is worth a look; the page's are the same."""


def grade_of(quality: float | None) -> Grade | None:
    """Return an estimated DSC in a word; None where there is no estimate."""
    if quality is None:
        return None
    return "good" if quality >= GOOD else "check" if quality >= FAIR else "doubtful"


@dataclass(frozen=True)
class SessionObject:
    """One object of a session, as clients see it.

    Attributes:
        id: Number of the object, from 1.
        name: What the user calls it.
        colour: "#rrggbb", or None where the viewer chooses.
        label: Its value in the label map, which stays whatever becomes of other objects.
        prompts: Prompts in force, oldest first, with their numbers.
        can_undo: Whether there is something to undo.
        can_redo: Whether there is something to redo.
        voxels: Voxels of its mask.
        quality: Estimated DSC of its mask, 0 to 1; None where the model made no estimate of just this mask.
    """

    id: int
    name: str
    colour: str | None
    label: int
    prompts: tuple[Prompted, ...]
    can_undo: bool
    can_redo: bool
    voxels: int
    quality: float | None = None

    @property
    def grade(self) -> Grade | None:
        """The estimate in a word, because its number promises more than it holds; None where there is no estimate."""
        return grade_of(self.quality)


@dataclass(frozen=True)
class ObjectState:
    """An object's journal with what follows from it."""

    journal: ObjectJournal
    history: History
    mask: PackedMask

    def view(self, quality: float | None = None) -> SessionObject:
        """Return the object as clients see it, with the estimated DSC of its mask."""
        journal, past = self.journal, self.history
        return SessionObject(
            journal.id,
            journal.name,
            journal.colour,
            journal.label or 0,
            past.prompts,
            bool(past.actions),
            bool(past.undone),
            self.mask.voxels,
            quality,
        )
