"""What the network finds by itself on an open image: a mask carried along, and others of the kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.region import Region
from bedside.core.stopping import take_change
from bedside.serve.edit_messages import (
    LikeRequest,
    PropagateRequest,
    Proposal,
    Proposals,
    ProposalsRequest,
    TakeRequest,
)
from bedside.serve.engines import Engines, SharedModel
from bedside.serve.messages import Box, Carried, Change, LabelPatch
from bedside.serve.patches import Layer, dtype_name, encode, paint_labels, whole_box
from bedside.serve.snapshot import Snapshot
from bedside.session.editing import packed_mask, remove_object
from bedside.session.session import Session
from bedside.session.workspace import ObjectLook, Workspace
from bedside.weights.defaults import IMAGES

if TYPE_CHECKING:
    from bedside.engines.likeness import Likeness
    from bedside.engines.protocol import Segmenter

Report = Callable[[int, int | None], None]
"""Told how many passes are done, and how many there will be; None where nobody knows."""


class Proposing:
    """Carrying and finding; a part of ``OpenImage``."""

    id: int
    image: Image
    snapshot: Snapshot
    _session: Session
    _workspace: Workspace
    _engines: Engines
    _looks: dict[int, ObjectLook]
    _proposals: Sequence[Likeness] = ()
    _taken: tuple[tuple[int, ...], Sequence[Likeness]] = ((), ())
    """The objects that were begun last, and the proposals that they were among."""

    def _target(self, number: int | None) -> int | None:
        raise NotImplementedError

    def _changed(self, change: Callable[[], Region | None], number: int | None, deleted: Sequence[int] = ()) -> Change:
        raise NotImplementedError

    def propagate(self, number: int, request: PropagateRequest, report: Report) -> Change:
        """Carry an object's mask on one slice along the others."""
        self._target(number)
        asked: list[int] = []

        def tell(index: int) -> None:
            asked.append(index)
            report(len(asked), None)

        segmenter = cast("Segmenter", SharedModel(self._engines, IMAGES))
        told: list[Carried] = []

        def carry() -> Region:
            found = self._session.propagate(**request.model_dump(), object_id=number, segmenter=segmenter, report=tell)
            told.append(
                Carried(
                    axis=found.axis,
                    start=found.start,
                    first=found.first,
                    last=found.last,
                    low=found.low,
                    high=found.high,
                )
            )
            return found.region

        change = self._changed(carry, number)
        change.carried = told[0]
        return change

    def find_like(self, request: LikeRequest, report: Report) -> Change:
        """Begin an object for each other of the kind of a few."""
        found = self._session.find_like(request.objects, threshold=request.threshold, report=report)
        take_change()
        return self._take(found, request.name)

    def propose(self, request: ProposalsRequest, report: Report) -> Proposals:
        """Find others of the kind of a few, and keep them until they are taken, dropped or searched for again."""
        found = self._session.find_like(request.objects, threshold=request.threshold, report=report)
        self._proposals, self._taken = found, ((), ())
        layers = [Layer(number, one.mask) for number, one in enumerate(found, start=1)]
        box = whole_box(layers, self.image.ndim)
        painted = paint_labels(layers, box, "keep")
        return Proposals(
            proposals=[
                Proposal(
                    proposal=number,
                    score=one.score,
                    voxels=int(one.mask.patch().sum()),
                    box=Box(start=list(one.mask.region.start), stop=list(one.mask.region.stop)),
                )
                for number, one in enumerate(found, start=1)
            ],
            labels=LabelPatch(
                version=self.snapshot.version,
                start=list(box.start),
                stop=list(box.stop),
                labels=encode(painted),
                dtype=dtype_name(painted),
            ),
        )

    def take_proposals(self, request: TakeRequest) -> Change:
        """Begin an object for each proposal that is accepted, and drop the others."""
        wrong = [number for number in request.proposals if not 1 <= number <= len(self._proposals)]
        if wrong:
            raise InputError(
                f"proposal {wrong[0]}",
                expected=f"1 to {len(self._proposals)}" if self._proposals else "proposals of a search before",
                got=f"{wrong[0]}",
                fix="search again: they are kept while the image is in memory",
            )
        accepted = [self._proposals[number - 1] for number in sorted(set(request.proposals))]
        change = self._take(accepted, request.name)
        self._proposals, self._taken = (), (tuple(change.opened), self._proposals)
        return change

    def remove_objects(self, numbers: Sequence[int]) -> Change:
        """Take objects away in one change; their events stay in the workspace.

        Where they are just those that were taken of proposals last, these can be taken again.
        """
        numbers = list(dict.fromkeys(numbers))
        region = Region.empty(self.image.ndim)
        for number in numbers:
            self._target(number)
            region = region.union(packed_mask(self._session, number).region)
        for number in numbers:
            remove_object(self._session, number)
            self._looks.pop(number, None)
        change = self._changed(lambda: region, None, deleted=numbers)
        begun, among = self._taken
        if begun and set(begun) == set(numbers):
            self._proposals, self._taken = among, ((), ())
        return change

    def _take(self, found: Sequence[Likeness], name: str | None) -> Change:
        opened = self._session.take_like(found, first=self._workspace.last_object(self.id) + 1, name=name)
        change = self._changed(lambda: opened.region, None)
        change.opened = list(opened.objects)
        return change
