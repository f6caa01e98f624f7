"""Segmentations of a session's image in files: opened as objects to go on with, and saved in any form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.labels import LARGEST_LABEL, OverlapPolicy, free_label
from bedside.core.mask import PackedMask
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import InitialMask
from bedside.core.region import Region
from bedside.session.answers import Answers
from bedside.session.gestures import Gestures
from bedside.session.journal import History, ObjectJournal, Prompted
from bedside.session.objects import ObjectState
from bedside.session.priors import read_of_prior

if TYPE_CHECKING:
    from bedside.io.dicom.segments import Segment, SegmentSet
    from bedside.io.dicom.uid_map import UidMap
    from bedside.io.label_lists import LabelEntry

MOST_OBJECTS = 1000
"""Labels that are opened as objects at most: a list that nobody could work with would only make everything slow."""
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Opened:
    """What became of a segmentation.

    Attributes:
        objects: Numbers of the objects that were begun, in the order of the file.
        region: The smallest region that holds all of them.
        notes: What a user should know, a sentence each.
    """

    objects: tuple[int, ...]
    region: Region
    notes: tuple[str, ...]


class Segmentations(Gestures):
    """Opening and saving of a session's masks; a part of ``Session``, whose state it works on."""

    image: Image
    _states: dict[int, ObjectState]
    _answers: Answers
    _current: int | None
    _last_prompt: int
    _last_label: int

    @property
    def model(self) -> str:
        """Name of the model that predicts."""
        raise NotImplementedError

    def open_segmentation(
        self, path: str | Path, *, threshold: float = 0.5, volume: int | None = None, prior: Image | None = None
    ) -> Opened:
        """Open a segmentation in a file onto the image: every label becomes an object for prompts to correct.

        A list of labels (``bedside.io.label_lists``) gives their names and colours to the objects that have them, and
        begins empty objects for the others.

        Objects have the name, colour and number of the file; where another object has the number they get the next
        free one, which a note says. The first of them becomes the current object. Each mask is a prompt in the
        journal, so that it can be undone and is replayed.

        Args:
            path: A label map (NIfTI, NRRD, MetaImage, PNG, ...), a DICOM SEG, an RTSTRUCT, or a list of labels.
            threshold: Part of the largest value from which on a voxel of a fractional SEG counts.
            volume: Volume of its series that the image holds, where its DICOM files hold several.
            prior: The earlier image, or the one of another modality, that the masks were drawn on; it is registered to
                this one and the masks are carried along (``read_of_prior``).

        Raises:
            FormatError: It cannot be read, is no segmentation but an image, or is of another frame of reference.
            InputError: It does not lie on the image, or holds no label or too many.
        """
        if prior is not None:
            return self.take(read_of_prior(path, self.image, prior, threshold=threshold), what=str(path))
        return self.take(read_file(path, self.image, threshold=threshold, volume=volume), what=str(path))

    def take(
        self, found: SegmentSet | tuple[LabelEntry, ...], first: int | None = None, what: str = "segmentation"
    ) -> Opened:
        """Take what ``read_file`` returned; see ``take_segments`` and ``take_labels``."""
        if isinstance(found, tuple):
            return self.take_labels(found, first, what)
        return self.take_segments(found, first, what)

    def take_labels(
        self, entries: tuple[LabelEntry, ...], first: int | None = None, what: str = "list of labels"
    ) -> Opened:
        """Name and colour the objects that have the labels of a list, and begin an empty one for each other.

        Args:
            entries: What is said of each label.
            first: Number of the first object that is begun; by default one more than any there is.
            what: What is opened, for the message.

        Returns:
            The objects that were begun; none has a voxel.

        Raises:
            InputError: There are too many.
        """
        if len(entries) > MOST_OBJECTS:
            raise InputError(what, expected=f"1 to {MOST_OBJECTS:,} labels", got=f"{len(entries):,}")
        having = {state.journal.label: state for state in self._states.values()}
        number = self._before(first)
        begun = []
        changed: dict[int, ObjectState] = {}
        for entry in entries:
            name, state = _plain(entry.name), having.get(entry.label)
            if state is not None:
                journal = state.journal
                journal = replace(journal, name=name or journal.name, colour=entry.colour or journal.colour)
                changed[journal.id] = replace(state, journal=journal)
                continue
            number += 1
            begun.append(number)
            journal = ObjectJournal(number, name or f"object {number}", entry.colour, (), entry.label)
            changed[number] = ObjectState(journal, History(), PackedMask.empty(self.image.ndim))
        self._states.update(changed)
        if self._current is None:
            self._current = next(iter(begun), None)
        return Opened(tuple(begun), Region.empty(self.image.ndim), ())

    def take_segments(self, found: SegmentSet, first: int | None = None, what: str = "segmentation") -> Opened:
        """Begin an object for each segment; nothing is begun if one cannot be.

        Args:
            found: On the image's grid.
            first: Number of the first object; by default one more than any there is.
            what: What is opened, for the message.

        Raises:
            InputError: There is no segment or there are too many, they lie on another grid, or an object has such a
                number already.
        """
        if not 1 <= len(found.segments) <= MOST_OBJECTS:
            got = f"{len(found.segments):,}" if found.segments else "none"
            raise InputError(what, expected=f"1 to {MOST_OBJECTS:,} labels", got=got)
        if not found.geometry.matches(self.image.geometry):
            raise InputError(what, expected=f"the image's grid of {self.image.shape}", got=found.geometry.shape)
        labels, notes = self._labels(found.segments)
        states: dict[int, ObjectState] = {}
        placed: dict[int, PlacedPrompt] = {}
        region = Region.empty(self.image.ndim)
        number = self._before(first)
        for segment, label in zip(found.segments, labels, strict=True):
            number += 1
            journal = ObjectJournal(number, _plain(segment.name) or f"object {number}", segment.colour, (), label)
            past, mask = History(), PackedMask.empty(self.image.ndim)
            if not segment.is_empty:
                prompt = InitialMask.of_patch(segment.patch, segment.region, self.image.shape)
                event = Prompted(self._last_prompt + len(placed) + 1, prompt)
                placed[event.id] = PlacedPrompt.of(prompt, self.image.geometry)
                journal, past, mask = journal.append(event), past.after(event), prompt.packed
                region = region.union(mask.region)
            states[number] = ObjectState(journal, past, mask)
        self._states.update(states)
        self._answers.placed.update(placed)
        self._last_prompt += len(placed)
        self._current = next(iter(states))
        return Opened(tuple(states), region, (*found.notes, *notes))

    def _before(self, first: int | None) -> int:
        """Return the number before that of the first object to begin."""
        highest = max(self._states, default=0)
        if first is None:
            return highest
        if isinstance(first, bool) or not isinstance(first, int) or first <= highest:
            raise InputError(
                "number of the first object", expected=f"a whole number above {highest}", got=repr(first)[:40]
            )
        return first - 1

    def _labels(self, segments: Iterable[Segment]) -> tuple[list[int], list[str]]:
        """Return a label for each segment, its own wherever it is free, and a note for each other."""
        used: set[int | None] = {state.journal.label for state in self._states.values()}
        own: list[int | None] = []
        for segment in segments:
            free = 1 <= segment.label <= LARGEST_LABEL and segment.label not in used
            own.append(segment.label if free else None)
            used |= {segment.label} if free else set()
        labels, notes = [], []
        for segment, kept in zip(segments, own, strict=True):
            label = kept if kept is not None else free_label(used, self._last_label)
            if kept is None:
                used.add(label)
                notes.append(f"'{_plain(segment.name)}' has the number {label}: {segment.label} is taken")
            labels.append(label)
        return labels, notes

    def segments(self) -> SegmentSet:
        """Return all objects as segments on the image's grid, which may overlap."""
        states = self._states.values()
        parts = ((int(s.journal.label or 0), s.journal.name, s.journal.colour, s.mask) for s in states)
        return segments_of(parts, self.image, self.model)

    def save_segmentation(
        self,
        path: str | Path,
        *,
        form: Literal["dicom-seg", "rtstruct"] | None = None,
        seg_type: Literal["binary", "labelmap"] = "binary",
        compress: bool = False,
        policy: OverlapPolicy = "keep",
        volume: int | None = None,
        uids: UidMap | None = None,
    ) -> tuple[str, ...]:
        """Write all objects with their numbers and, where the format has a place for them, names and colours.

        Args:
            path: Where to; the suffix is the format, ``.dcm`` a DICOM SEG.
            form: The DICOM object to write; both refer to the image's DICOM files.
            seg_type: "labelmap" writes a SEG in which objects cannot overlap.
            compress: Whether a SEG is compressed, without loss.
            policy: Who gets a voxel of two objects in a label map: "keep" or "overwrite".
            volume: Volume of its series that the image holds, where its DICOM files hold several.
            uids: Where given, a SEG or RTSTRUCT says nothing of the patient and has new UIDs.

        Returns:
            What a user should know, a sentence each.

        Raises:
            InputError: There is no object, or a DICOM object is wanted of an image that is not from DICOM files.
            FormatError: The file cannot be written.
        """
        from bedside.io.segmentations import form_of, write_segments

        if not self._states:
            raise InputError("nothing to save", expected="at least one object", got="none")
        target = form_of(Path(path), form)
        if self.image.source is not None and Path(path).resolve() == Path(self.image.source).resolve():
            raise InputError(f"{path}", expected="another file than the image", fix="the image is never overwritten")
        found = self.segments()
        if target == "dicom-seg" and seg_type == "labelmap":
            found = found.disjoint(policy)
        return write_segments(
            path,
            found,
            self.image,
            form=target,
            seg_type=seg_type,
            compress=compress,
            policy=policy,
            volume=volume,
            uids=uids,
        )


def read_file(
    path: str | Path, image: Image, *, threshold: float = 0.5, volume: int | None = None, sent: bool = False
) -> SegmentSet | tuple[LabelEntry, ...]:
    """Return what a file holds for an image: segments on its grid, or a list of labels; see ``read_segments``.

    Raises:
        FormatError: As ``read_segments`` and ``read_label_list``.
        InputError: As ``read_segments``.
    """
    from bedside.io.label_lists import is_label_list, read_label_list
    from bedside.io.segmentations import read_segments

    if is_label_list(Path(path)):
        return read_label_list(path)
    return read_segments(path, image, threshold=threshold, volume=volume, sent=sent)


def segments_of(objects: Iterable[tuple[int, str, str | None, PackedMask]], image: Image, model: str) -> SegmentSet:
    """Return objects as segments on the image's grid.

    Args:
        objects: Label, name, colour and mask of each.
        image: What they are of.
        model: Name of the model that predicted them.
    """
    from bedside import __version__
    from bedside.io.dicom.segments import Algorithm, Segment, SegmentSet

    made_by = Algorithm(f"Bedside {model}", __version__)
    segments = [
        Segment(label, name, mask.patch(), mask.region, colour=colour, algorithm=made_by)
        for label, name, colour, mask in objects
    ]
    return SegmentSet(tuple(segments), image.geometry)


def _plain(name: str) -> str:
    """Return a name from a file as one line that can be shown."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:_LONGEST_NAME].strip()
