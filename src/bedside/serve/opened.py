"""An image in memory with its session: every change goes through here, to the workspace, and into a patch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bedside.core.errors import BedsideError, StoppedError
from bedside.core.image import Image
from bedside.core.labels import OverlapPolicy
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import Prompt
from bedside.core.region import Region
from bedside.core.stopping import take_change
from bedside.serve.edit_messages import EditRequest
from bedside.serve.engines import Engines, SharedModel
from bedside.serve.errors import LockedError, NotFoundError, NotOfferedError
from bedside.serve.facts import Facts
from bedside.serve.keeping import Keeper
from bedside.serve.linking import Linking
from bedside.serve.messages import BrushRequest, Change, ObjectCreate, ObjectUpdate, Patch, Suggestion, Superseded
from bedside.serve.patches import crop as crop_mask
from bedside.serve.patches import decode_bits, dtype_name, encode, encode_bits, paint_labels, whole_box
from bedside.serve.proposing import Proposing
from bedside.serve.snapshot import Snapshot, colour_of, take_snapshot
from bedside.session.editing import (
    begin_object,
    brushed,
    can_answer,
    change_object,
    check_prompt,
    identify,
    label_objects_after,
    number_prompts_after,
    object_journals,
    packed_mask,
    remove_object,
    take_back,
)
from bedside.session.journal import Event, ObjectJournal
from bedside.session.session import Session
from bedside.session.workspace import ImageRecord, ObjectLook, Workspace
from bedside.weights.defaults import default_model as bundled_model

if TYPE_CHECKING:
    from bedside.engines.protocol import Segmenter
    from bedside.io.dicom.segments import SegmentSet
    from bedside.io.label_lists import LabelEntry

Outcome = Change | Superseded | Exception
"""What became of a request."""


class OpenImage(Proposing, Linking):
    """An image, its session, and what is seen of it.

    Its methods that change something are called by one thread at a time and write the change to the workspace before
    they return; ``snapshot`` may be read by any thread.

    Args:
        record: The image in the workspace.
        item: The item at which it was opened.
        image: Its samples.
        facts: What is known of them.
        workspace: Where the work is kept.
        engines: The models.
        default_model: Answers where none was chosen for the image; None for the bundled one for images or for volumes.

    Attributes:
        snapshot: What is seen now.
        pending: Jobs on this image that are not done; counted by the owner.
        broken: The workspace could not be written, so that memory holds more than the file: open it again.
        seconds: Wall time of opening, by stage.
    """

    def __init__(
        self,
        record: ImageRecord,
        item: int,
        image: Image,
        facts: Facts,
        workspace: Workspace,
        engines: Engines,
        default_model: str | None,
    ) -> None:
        self.id, self.item, self.image, self.facts = record.id, item, image, facts
        self.stamp = record.stamp
        self.pending = 0
        self.broken = False
        self.seconds: dict[str, float] = {}
        self._workspace = workspace
        self._engines = engines
        self._shared = SharedModel(engines, record.model or default_model or bundled_model(image.shape))
        self._policy: OverlapPolicy = record.policy
        journal, self._looks = workspace.journal(record.id)
        self._session = Session(image, segmenter=cast("Segmenter", self._shared))
        identify(self._session, record.stamp)
        self._keeper = Keeper(workspace, record.id)
        self._keeper.restore(self._session, journal, self._looks, self._shared)
        number_prompts_after(self._session, workspace.last_prompt(record.id))
        label_objects_after(self._session, workspace.last_label(record.id))
        self._session.record_events(self)
        self.snapshot = self._look(record.version)

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._shared.name

    @property
    def model_problem(self) -> str | None:
        """Why the model could not be loaded, so that only kept masks are shown; None where it was not needed or is."""
        problem = self._keeper.problem
        return None if problem is None or self._engines.loaded(self.model) else str(problem)

    @property
    def nbytes(self) -> int:
        """Memory that the image takes, with the session's dense mask and a second image."""
        second = self.second.linked.image.array.nbytes if self.has_second else 0
        return int(self.image.array.nbytes + np.prod(self.image.shape, dtype=np.int64) + second)

    def found_at(self, other: OpenImage) -> None:
        """Take over what another place of the same image says of it: where its files are, and its header."""
        self.image, self.facts = replace(other.image, array=self.image.array), other.facts

    # Prompts

    def add_prompts(
        self, number: int | None, prompts: Sequence[tuple[PlacedPrompt, bool]], queue: float
    ) -> list[Outcome]:
        """Add prompts of one object; all that ask for an answer are answered together, by the last of them.

        Args:
            number: The object; the current one by default, which is begun where there is none yet.
            prompts: Placed on the image, oldest first, each with whether it asks for an answer.
            queue: Seconds that the last of them waited.

        Returns:
            What became of each.
        """
        outcomes: list[Outcome | None] = []
        for prompt, _ in prompts:
            try:
                self._target(number)
                check_prompt(self._session, prompt)
                outcomes.append(None)
            except Exception as error:
                outcomes.append(error)
        good = [place for place, outcome in enumerate(outcomes) if outcome is None]
        asking = [place for place in good if prompts[place][1]]
        # Together they may begin what none of them could by itself; if not even so, each is rejected by itself.
        together = bool(asking) and can_answer(self._session, self._target(number), [prompts[p][0].given for p in good])
        waiting = good[: good.index(asking[-1])] if together else []
        begun = self._target(number) is None
        for place in good:
            prompt, answers = prompts[place]
            try:
                if place in waiting:
                    outcomes[place] = self._wait(number, prompt)
                else:
                    add = partial(self._add, prompt, answers)
                    outcomes[place] = self._prompt(number, add, len(waiting), queue)
            except StoppedError as error:
                self._take_back([p for p in waiting if isinstance(outcomes[p], Superseded)], number, begun)
                return [o if isinstance(o, Exception | Change) else error for o in outcomes]
            except Exception as error:
                outcomes[place] = error
        if waiting and isinstance(outcomes[asking[-1]], Exception) and not self.broken:
            # Nobody answers those that waited, but they are in the journal: say so.
            outcomes[waiting[-1]] = self._changed(lambda: None, self._target(number))
        return [outcome for outcome in outcomes if outcome is not None]

    def _wait(self, number: int | None, prompt: PlacedPrompt) -> Superseded:
        """Add a prompt that is answered, and kept, with the one that supersedes it."""
        target = self._target(number) or self._begin()
        self._session.add(prompt, predict=False, object_id=target)
        return Superseded(image=self.id, object=target)

    def _take_back(self, waiting: Sequence[int], number: int | None, begun: bool) -> None:
        """Take back prompts that waited for an answer which was stopped, as if none of them had been given."""
        target = self._target(number)
        if target is None:
            return
        for _ in waiting:
            take_back(self._session, target)
        if begun:
            remove_object(self._session, target, never_was=True)

    def _begin(self) -> int:
        number = self._workspace.last_object(self.id) + 1
        return begin_object(self._session, number, colour=colour_of(number)).id

    def _add(self, prompt: Prompt | PlacedPrompt, predict: bool, target: int) -> Region | None:
        return self._session.add(prompt, predict=predict, object_id=target)

    def _prompt(
        self, number: int | None, add: Callable[[int], Region | None], together: int = 0, queue: float = 0.0
    ) -> Change:
        """Have an object take a prompt; one that is begun for it is there only if it is answered."""
        target = self._target(number)
        begun = target is None
        target = target or self._begin()
        try:
            change = self._changed(partial(add, target), target)
        except BaseException:
            if begun and not self.broken:
                remove_object(self._session, target, never_was=True)
            raise
        change.together = together
        change.seconds["queue"] = queue
        return change

    def begin_with(self, name: str, prompt: PlacedPrompt, predict: bool) -> Change:
        """Begin an object with its first prompt; there is none where the prompt is rejected."""
        before = self._session.current
        number = self._workspace.last_object(self.id) + 1
        begin_object(self._session, number, name, colour_of(number))
        try:
            return self._changed(lambda: self._session.add(prompt, predict=predict, object_id=number), number)
        except BaseException:
            if not self.broken:
                remove_object(self._session, number, never_was=True)
                if before is not None:
                    self._session.select(before.id)
            raise

    def brush(self, request: BrushRequest) -> Change:
        """Replace a box of an object's mask by what was painted."""
        target = self._target(request.object)
        region = Region(tuple(request.box.start), tuple(request.box.stop))
        axes = {len(region.start), len(region.stop), self.image.ndim}
        if len(axes) > 1 or region.clip(self.image.shape) != region:
            region = Region.empty(self.image.ndim)
        patch = decode_bits(request.bits, region.shape) if not region.is_empty else np.zeros(region.shape, np.uint8)
        return self._prompt(target, partial(self._add, brushed(self._session, target, region, patch), True))

    def step(self, number: int | None, redo: bool) -> Change:
        """Undo or redo the last prompt or removal of an object."""
        target = self._target(number)
        if target is None:
            raise NotFoundError("nothing to undo", got="no object")
        step = self._session.redo if redo else self._session.undo
        return self._changed(lambda: step(target), target)

    def remove_prompt(self, prompt: int) -> Change:
        """Take one prompt away, wherever it stands.

        Raises:
            NotFoundError: No prompt in force has that number.
        """
        owner = next((n for n, s in self.snapshot.seen.items() if any(p.id == prompt for p in s.prompts)), None)
        if owner is None:
            raise NotFoundError("prompt", expected="the number of a prompt in force", got=prompt)
        self._target(owner)
        return self._changed(lambda: self._session.remove_prompt(prompt), owner)

    def suggest(self, number: int) -> Suggestion:
        """Return where to click next."""
        self.snapshot.object(number)
        if not self._session.capabilities.suggests:
            raise NotOfferedError(f"{self.model} does not suggest where to click", fix="choose a model that does")
        click = self._session.suggest_click(number)
        return Suggestion(object=number, prompt=None if click is None else click.to_dict())

    def show_next_candidate(self, number: int) -> Change:
        """Show the next mask that an object's first prompts may mean."""
        self._target(number)
        if not self._session.capabilities.proposes:
            raise NotOfferedError(f"{self.model} proposes no other masks", fix="choose a model that does")
        return self._changed(lambda: self._session.show_next_candidate(number), number)

    def edit(self, number: int, request: EditRequest) -> Change:
        """Change an object's mask by a classical tool."""
        self._target(number)
        if request.other is not None:
            self.snapshot.object(request.other)
        return self._changed(
            lambda: self._session.edit(request.name, request.value, other=request.other, object_id=number), number
        )

    # Objects

    def add_object(self, request: ObjectCreate) -> Change:
        """Begin an object, which becomes the current one."""
        number = self._workspace.last_object(self.id) + 1
        begin_object(self._session, number, request.name, request.colour or colour_of(number), request.label)
        return self._changed(lambda: None, number)

    def take(self, found: SegmentSet | tuple[LabelEntry, ...], what: str) -> Change:
        """Make an object of each segment, or of each label of a list; ``what`` names it in messages."""
        opened = self._session.take(found, self._workspace.last_object(self.id) + 1, what)
        change = self._changed(lambda: opened.region, None)
        change.opened, change.notes = list(opened.objects), list(opened.notes)
        return change

    def change_object(self, number: int, request: ObjectUpdate) -> Change:
        """Rename, colour, label, show, hide, lock or unlock an object."""
        old = self.snapshot.object(number).info
        if request.label is not None:
            self._session.set_label(number, request.label)
        change_object(self._session, number, request.name, request.colour)
        visible = old.visible if request.visible is None else request.visible
        self._looks[number] = ObjectLook(visible, old.locked if request.locked is None else request.locked)
        region = packed_mask(self._session, number).region if visible != old.visible else None
        return self._changed(lambda: region, number)

    def delete_object(self, number: int) -> Change:
        """Take an object away; its events stay in the workspace."""
        self._target(number)
        region = packed_mask(self._session, number).region
        remove_object(self._session, number)
        self._looks.pop(number, None)
        return self._changed(lambda: region, number, deleted=[number])

    # The image

    def change_image(self, model: str | None, policy: OverlapPolicy | None, current: int | None) -> Change:
        """Choose another model, overlap policy or current object."""
        if current is not None:
            self.snapshot.object(current)
        before = whole_box(self.snapshot.layers, self.image.ndim)
        if model is not None and model != self.model:
            # Loaded now, so that a model without weights is rejected before any prompt is looked at.
            self._engines.get(model)
            shared = SharedModel(self._engines, model)
            self._session.replay(segmenter=cast("Segmenter", shared))
            self._shared, self._keeper.problem = shared, None
            before = before.union(self._all_regions())
        elif policy in (None, self._policy):
            before = Region.empty(self.image.ndim)
        take_change()
        if current is not None:
            self._session.select(current)
        self._policy = policy or self._policy
        if model is not None or policy is not None:
            self._write(lambda: self._workspace.set_image(self.id, model=model, policy=policy))
        return self._changed(lambda: before, None)

    def _all_regions(self) -> Region:
        union = Region.empty(self.image.ndim)
        for item in self._session.objects:
            union = union.union(packed_mask(self._session, item.id).region)
        return union

    # Inside

    def _target(self, number: int | None) -> int | None:
        """Return the object that a change is of; None where it is still to be begun.

        Raises:
            NotFoundError: There is no such object.
            LockedError: It may not be changed.
        """
        current = self._session.current
        target = (current.id if current else None) if number is None else number
        if target is None:
            return None
        numbers = [item.id for item in object_journals(self._session)]
        if target not in numbers:
            raise NotFoundError("object", expected=f"one of {numbers}", got=target)
        if self._looks.get(target, ObjectLook()).locked:
            raise LockedError(f"object {target} is locked", fix="unlock it first")
        return target

    def _changed(self, change: Callable[[], Region | None], number: int | None, deleted: Sequence[int] = ()) -> Change:
        """Let a change happen, keep it, and say what it did."""
        seconds_before, passes_before = self._session.seconds, self._session.passes
        began = time.perf_counter()
        region = change()
        answered = time.perf_counter()
        version = self._write(lambda: self._keeper.save(self._session, self._looks, self._shared, deleted))
        saved = time.perf_counter()
        old, self.snapshot = self.snapshot, self._look(version)
        seconds = {k: v - seconds_before.get(k, 0.0) for k, v in self._session.seconds.items()}
        result = Change(
            image=self.id,
            version=version,
            object=number,
            current=self.snapshot.current,
            objects=self.snapshot.infos,
            prompts=self._new_prompts(old, number),
            patch=self._patch(region, None if number in deleted else number),
            passes=self._session.passes - passes_before,
        )
        encoded = time.perf_counter()
        stages = {"session": answered - began, "save": saved - answered, "encode": encoded - saved}
        result.seconds = {**{k: v for k, v in seconds.items() if v > 0}, **stages}
        return result

    def _new_prompts(self, old: Snapshot, number: int | None) -> list[Any] | None:
        if number is None or number not in self.snapshot.seen:
            return None
        before = old.seen[number].prompts if number in old.seen else ()
        unchanged = before == self.snapshot.seen[number].prompts
        return None if unchanged else self.snapshot.prompts(number).prompts

    def _patch(self, region: Region | None, number: int | None) -> Patch | None:
        if region is None or region.is_empty:
            return None
        labels = paint_labels(self.snapshot.visible, region, self.snapshot.policy)
        bits = encode_bits(crop_mask(packed_mask(self._session, number), region)) if number is not None else None
        return Patch(
            start=list(region.start),
            stop=list(region.stop),
            bits=bits,
            labels=encode(labels),
            dtype=dtype_name(labels),
        )

    def mask_patch(self, number: int) -> Patch:
        """Return the mask of one object as it is seen now; may be called from any thread."""
        snapshot = self.snapshot
        mask = snapshot.object(number).mask
        labels = paint_labels(snapshot.visible, mask.region, snapshot.policy)
        bits, start, stop = encode_bits(mask.patch()), list(mask.region.start), list(mask.region.stop)
        return Patch(start=start, stop=stop, bits=bits, labels=encode(labels), dtype=dtype_name(labels))

    def _look(self, version: int) -> Snapshot:
        return take_snapshot(self._session, version, self._policy, self._looks)

    # Keeping

    def record(self, journal: ObjectJournal, event: Event) -> None:
        """Write an event before the mask that follows from it is made; see ``session.journal.Recorder``."""
        self._write(lambda: self._keeper.record(journal, event))

    def withdraw(self, journal: ObjectJournal) -> None:
        """Take back the event that was written last of an object."""
        self._write(lambda: self._keeper.withdraw(journal))

    def _write(self, write: Callable[[], Any]) -> Any:
        try:
            return write()
        except BedsideError:
            self.broken = True
            raise
