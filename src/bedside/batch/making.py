"""Making one mask: the steps of ``bedside segment``, with a model that stays loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bedside.batch.manifest import Row
from bedside.batch.plan import Item
from bedside.batch.record import Made, ObjectFound, Settings, begin, finish
from bedside.core.addresses import fetched
from bedside.core.errors import BedsideError, InputError
from bedside.core.image import Image
from bedside.core.placed import PlacedPrompt
from bedside.core.prompts import Box
from bedside.io import read_image, write_mask
from bedside.io.registry import find_writer
from bedside.io.segmentations import read_segments
from bedside.session import Session
from bedside.session.flags import add_together
from bedside.session.journal import Journal, Prompted, history
from bedside.session.opening import check_journal
from bedside.simulate.boxes import MOST_PARTS, part_boxes
from bedside.weights.defaults import default_model

if TYPE_CHECKING:
    from bedside.engines.protocol import Segmenter


class RowError(BedsideError):
    """A row that spoils its mask.

    Args:
        number: Number of the row.
        error: Why.

    Attributes:
        number: As it was given.
    """

    def __init__(self, number: int, error: BedsideError) -> None:
        self.number = number
        super().__init__(str(error))


@contextmanager
def _blamed(row: Row) -> Iterator[None]:
    """Turn errors of a block that is about one row into failures of that row."""
    try:
        yield
    except RowError:
        raise
    except BedsideError as error:
        raise RowError(row.number, error) from error


def make(item: Item, mark: str, settings: Settings, load: Callable[[str], Segmenter]) -> Made:
    """Make a mask and its record; neither is touched unless everything could be computed.

    Args:
        item: What to make.
        mark: Its fingerprint.
        settings: How.
        load: Returns the segmenter of a model by name, loaded once.

    Raises:
        RowError: A row of several is wrong.
        BedsideError: The image cannot be read, nothing was found, or the mask cannot be written.
    """
    # A copy of what lies elsewhere stays until the end: large images are read as they are looked at.
    with fetched(item.rows[0].image) as place:
        return _make(item, place, mark, settings, load)


def _make(item: Item, place: Path, mark: str, settings: Settings, load: Callable[[str], Segmenter]) -> Made:
    began = time.perf_counter()
    first = item.rows[0]
    image = read_image(place, series=first.series, volume=first.volume)
    notes = list(image.metadata.get("notes", ()))
    journal = _journal(first, image, notes)
    objects = [] if journal is not None else list(_objects(item.rows, image, notes))
    name = settings.model or (journal.model if journal else None) or default_model(image.shape)
    segmenter = load(name)
    session = Session(image, segmenter=segmenter)
    if journal is not None:
        with _blamed(first):
            session.restore(journal)
    for row, label, title, prompts in objects:
        with _blamed(row):
            session.add_object(title, label=label)
            add_together(session, prompts)
    policy: Any = settings.policy
    labels = session.label_map(policy)
    found = session.objects
    empty = [o.name for o in found if o.voxels == 0]
    if len(empty) == len(found) and not settings.allow_empty:
        raise InputError("nothing was found", fix="add a click on the object, or write the empty mask by --allow-empty")
    notes += [f"the mask of {name} is empty" for name in empty]
    counts = np.bincount(labels.ravel(), minlength=max(o.label for o in found) + 1)
    begin(item, mark)
    # Where the format has no place for names, record and report have them.
    names = {o.label: o.name for o in found} if find_writer(item.output).names else None
    notes += write_mask(item.output, labels, image.geometry, names)
    sizes = [image.geometry.size_of(int(counts[o.label])) for o in found]
    made = Made(
        session.model,
        getattr(segmenter, "weights_sha256", None),
        tuple(
            ObjectFound(o.label, o.name, int(size["voxels"] or 0), size["volume_ml"], size["area_mm2"])
            for o, size in zip(found, sizes, strict=True)
        ),
        round(time.perf_counter() - began, 4),
        tuple(notes),
    )
    finish(item, mark, made)
    return made


def _journal(row: Row, image: Image, notes: list[str]) -> Journal | None:
    """Return the journal that a row names, checked against the image; None where it names none."""
    if row.journal is None:
        return None
    with _blamed(row):
        journal = Journal.load(row.journal)
        if not journal.objects:
            raise InputError(f"prompts {row.journal}", expected="at least one object", got="none")
        check_journal(journal, image)
        for item in journal.objects:
            placed = {e.id: PlacedPrompt.of(e.prompt, image.geometry) for e in item.events if isinstance(e, Prompted)}
            notes += _left_out((placed[entry.id] for entry in history(item.events).prompts), f"{item.name}: ")
    return journal


Prompts = tuple[Row, int | None, str | None, Sequence[PlacedPrompt]]
"""The row of an object, its label, its name and its prompts."""


def _objects(rows: Sequence[Row], image: Image, notes: list[str]) -> Iterator[Prompts]:
    """Yield the objects of the rows, all placed on the image before any is predicted."""
    for row in rows:
        with _blamed(row):
            if row.mask is not None:
                yield from _parts(row, row.mask, image)
                continue
            prompts = row.flags.placed(image)
            notes += _left_out(prompts, f"row {row.number}: " if len(rows) > 1 else "")
        yield row, row.label, row.name, prompts


def _parts(row: Row, path: Path, image: Image) -> Iterator[Prompts]:
    """Yield an object for each label of a mask, with a box around each of its connected parts."""
    segments = [segment for segment in read_segments(path, image).segments if segment.patch.any()]
    if not segments:
        raise InputError(f"mask {path}", expected="at least one label", got="none")
    for segment in segments:
        corner = segment.region.start[::-1]
        boxes = [
            Box(tuple(map(sum, zip(b.low, corner, strict=True))), tuple(map(sum, zip(b.high, corner, strict=True))))
            for b in part_boxes(segment.patch, MOST_PARTS)
        ]
        yield row, segment.label, segment.name, [PlacedPrompt.of(box, image.geometry) for box in boxes]


def _left_out(prompts: Iterable[PlacedPrompt], whose: str) -> list[str]:
    return [f"{whose}{prompt.left_out}" for prompt in prompts if prompt.left_out is not None]
