"""What the workspace holds of an image's session: written after every change, taken up again when it opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bedside.core.errors import BedsideError
from bedside.session.editing import object_journals, object_prompts, packed_mask
from bedside.session.journal import Event, Journal, ObjectJournal, history
from bedside.session.masks import KeptMask
from bedside.session.remembered import asked, made_by
from bedside.session.workspace import ObjectLook, ObjectRow, Workspace

if TYPE_CHECKING:
    from bedside.serve.engines import SharedModel
    from bedside.session.session import Session


@dataclass(frozen=True)
class _Written:
    """What the workspace holds of an object."""

    events: int
    name: str
    colour: str | None
    look: ObjectLook
    model: str
    label: int | None


class Keeper:
    """Between the session of one image and the workspace.

    Args:
        workspace: Where the work is kept.
        image: Number of the image in it.

    Attributes:
        problem: Why the model could not be loaded that answered the prompts taken up; None where it could.
    """

    def __init__(self, workspace: Workspace, image: int) -> None:
        self.problem: BedsideError | None = None
        self._workspace, self._image = workspace, image
        self._written: dict[int, _Written] = {}
        self._recorded: set[int] = set()
        self._begun: set[int] = set()

    # Events are on disk before the network is asked (``session.journal.Recorder``): a kill while it works loses none.

    def record(self, journal: ObjectJournal, event: Event) -> None:
        """Write an event of an object, and the object where the workspace does not hold it yet.

        Raises:
            FormatError: The workspace cannot be written.
        """
        before = self._written.get(journal.id)
        look = before.look if before else ObjectLook()
        self._workspace.record(
            self._image,
            ObjectRow(
                *(journal.id, journal.name, journal.colour, look, (event,)), label=journal.label, before=journal.events
            ),
        )
        if before is None:
            self._begun.add(journal.id)
        model = before.model if before else ""
        self._written[journal.id] = _Written(
            len(journal.events) + 1, journal.name, journal.colour, look, model, journal.label
        )
        self._recorded.add(journal.id)

    def withdraw(self, journal: ObjectJournal) -> None:
        """Take back the event that was recorded last of an object.

        Raises:
            FormatError: The workspace cannot be written.
        """
        begun = journal.id in self._begun and not journal.events
        self._workspace.withdraw(self._image, journal.id, begun)
        if begun:
            self._begun.discard(journal.id)
            del self._written[journal.id]
        else:
            self._written[journal.id] = replace(self._written[journal.id], events=len(journal.events))

    def restore(self, session: Session, journal: Journal, looks: Mapping[int, ObjectLook], shared: SharedModel) -> None:
        """Put the objects of ``journal`` into a session, with the masks that are kept; what is not is answered again.

        Raises:
            BedsideError: A mask has to be answered again, and the model cannot.
        """
        if journal.objects:
            session.restore(journal, self._known(journal, shared))
        self._written = self._states(session, looks, shared.name)

    def save(
        self, session: Session, looks: Mapping[int, ObjectLook], shared: SharedModel, deleted: Sequence[int] = ()
    ) -> int:
        """Write what the workspace does not hold yet; returns the image's version after it.

        Raises:
            FormatError: The workspace cannot be written.
        """
        states = self._states(session, looks, shared.name)
        qualities = {item.id: item.quality for item in session.objects}
        rows, events = [], 0
        for item in object_journals(session):
            before = self._written.get(item.id)
            recorded = item.id in self._recorded
            if states[item.id] == before and not recorded:
                continue
            written = before.events if before else 0
            fresh = item.events[written:]
            events += len(fresh) + recorded
            maker, kept = "", None
            if item.events and (fresh or recorded or before is None or before.model != shared.name):
                maker = made_by(object_prompts(session, item.id), shared.name, self._weights(shared))
                kept = KeptMask(packed_mask(session, item.id), qualities[item.id])
            look = states[item.id].look
            about = (item.id, item.name, item.colour, look)
            rows.append(ObjectRow(*about, fresh, maker, kept, item.label, item.events[:written]))
        current = session.current
        answered_by = shared.name if events else None
        version = self._workspace.save(self._image, rows, current.id if current else None, deleted, answered_by)
        self._written = states
        self._recorded.clear()
        self._begun.clear()
        return version

    def _known(self, journal: Journal, shared: SharedModel) -> dict[int, KeptMask]:
        known = {}
        for item in journal.objects:
            prompts = history(item.events).prompts
            if not prompts:
                continue
            # Mask and events are written together: what is kept is the answer to the journal, whatever gave it.
            maker = None
            weights = self._weights(shared) if asked(prompts) else ""
            if weights is not None:
                maker = made_by(prompts, shared.name, weights)
            kept = self._workspace.remembered_mask(self._image, item.id, maker)
            if kept is not None:
                known[item.id] = kept
        return known

    def _weights(self, shared: SharedModel) -> str | None:
        """Return checksum of the model's weights; None, with ``problem`` set, where it cannot be loaded."""
        try:
            return shared.weights
        except BedsideError as error:
            self.problem = error
            return None

    def _states(self, session: Session, looks: Mapping[int, ObjectLook], model: str) -> dict[int, _Written]:
        """Return what the workspace should hold of each object."""
        return {
            item.id: _Written(
                len(item.events), item.name, item.colour, looks.get(item.id, ObjectLook()), model, item.label
            )
            for item in object_journals(session)
        }
