"""A workspace: one SQLite file with images by content hash, their objects, the journal, and the worklist."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.labels import OverlapPolicy
from bedside.core.mask import PackedMask
from bedside.core.region import Region
from bedside.session.journal import FORMAT as JOURNAL_FORMAT
from bedside.session.journal import VERSION as JOURNAL_VERSION
from bedside.session.journal import Event, Journal, written_events
from bedside.session.masks import KeptMask
from bedside.session.stamp import ImageStamp
from bedside.session.workspace_file import WorkspaceFile

WorkState = Literal["new", "in progress", "done"]
"""How far the work on an image is."""


_BELOW = "substr(path, 1, length(?)) = ?"


def _below(folder: Path) -> tuple[str, str]:
    """Return the values of ``_BELOW`` for all that lies in a folder."""
    prefix = str(folder) + os.sep
    return prefix, prefix


WITHDRAWN = "withdrawn"
"""Note in the file that the event before it never happened: the mask that follows from it could not be made."""


@dataclass(frozen=True)
class ItemRecord:
    """A place where an image is: a line of a worklist.

    Attributes:
        id: Its number.
        path: Absolute path of the file or folder.
        series: The DICOM series; None where the path holds one image.
        volume: Which volume of several; None where the path holds one.
        name: What to show.
        state: How far the work is.
        image: Number of the image, once it was opened.
        problem: Why it could not be opened, the last time.
    """

    id: int
    path: str
    series: str | None
    volume: int | None
    name: str
    state: WorkState
    image: int | None
    problem: str | None


@dataclass(frozen=True)
class ImageRecord:
    """An image that was opened once.

    Attributes:
        id: Its number.
        stamp: What identifies it.
        model: The model chosen for it; None for the default.
        policy: Who gets a voxel that two objects claim.
        version: Counts its changes.
    """

    id: int
    stamp: ImageStamp
    model: str | None
    policy: OverlapPolicy
    version: int


@dataclass(frozen=True)
class ObjectLook:
    """What a workspace keeps of an object beside its journal."""

    visible: bool = True
    locked: bool = False


@dataclass(frozen=True)
class ObjectRow:
    """An object as it is to be written.

    Attributes:
        events: Those that the file does not hold yet.
        before: Those that it holds; a mask may be written as what it changes of one of them.
        made_by: Tells the model, weights and prompts that made ``kept``.
        kept: Its mask, so that reopening need not ask again; None leaves what the file holds.
        label: Its value in label maps.
    """

    id: int
    name: str
    colour: str | None
    look: ObjectLook
    events: Sequence[Event] = ()
    made_by: str = ""
    kept: KeptMask | None = None
    label: int | None = None
    before: Sequence[Event] = ()


class Workspace:
    """The one place where work is kept. Every method that writes has the change on disk when it returns.

    One process at a time may have it open: sessions live in memory, and two that wrote the same journal would part.
    Its methods may be called from any thread.

    Args:
        file: The open file, or a path to it; see ``WorkspaceFile``.

    Raises:
        InputError: Another process has it open.
        FormatError: The file is no workspace, or of a newer version.
    """

    def __init__(self, file: WorkspaceFile | str | Path | None = None) -> None:
        self._file = file if isinstance(file, WorkspaceFile) else WorkspaceFile(file)
        self._connection = self._file.connection

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def close(self) -> None:
        """Let go of the file; nothing is left to be written."""
        self._file.close()

    # Items

    def item(self, path: str, series: str | None = None, volume: int | None = None, name: str | None = None) -> int:
        """Return the number of the item at a place, which is made where it is new."""
        key = (path, series or "", -1 if volume is None else volume)
        with self._file.transaction() as run:
            run("INSERT OR IGNORE INTO item (path, series, volume, name) VALUES (?, ?, ?, ?)", *key, name or path)
            return int(run("SELECT id FROM item WHERE (path, series, volume) = (?, ?, ?)", *key).fetchone()[0])

    def items(self, numbers: Sequence[int]) -> list[ItemRecord]:
        """Return the items of these numbers, in that order; those that there are not are left out."""
        found = {r.id: r for r in self._items(f"WHERE id IN ({','.join(str(int(n)) for n in numbers)})")}
        return [found[n] for n in numbers if n in found]

    def recent(self, count: int) -> list[ItemRecord]:
        """Return items that were opened, the last one first."""
        return self._items(f"WHERE opened IS NOT NULL AND problem IS NULL ORDER BY opened DESC LIMIT {int(count)}")

    def places(self, image: int) -> list[ItemRecord]:
        """Return items at which an image was found, the last one opened first."""
        return self._items(f"WHERE image = {int(image)} ORDER BY opened DESC")

    def paths(self) -> list[str]:
        """Return the paths of all items."""
        with self._file.reading():
            return [path for (path,) in self._connection.execute("SELECT DISTINCT path FROM item ORDER BY path")]

    def needs(self, folder: Path, since: float) -> bool:
        """Return whether work would be lost with the images in a folder, or one was opened after ``since``.

        Args:
            folder: Holds images.
            since: Seconds since 1970.
        """
        worked = "state = 'done' OR EXISTS (SELECT 1 FROM object WHERE object.image = item.image AND NOT deleted)"
        return bool(
            self._number(
                f"SELECT count(*) FROM item WHERE {_BELOW} AND (opened >= ? OR {worked})", *_below(folder), since
            )
        )

    def forget(self, folder: Path) -> list[ItemRecord]:
        """Take the items in a folder off all lists, and return them; images, objects and journals stay."""
        with self._file.transaction() as run:
            gone = self._items(f"WHERE {_BELOW}", *_below(folder))
            run(f"DELETE FROM item WHERE {_BELOW}", *_below(folder))
        return gone

    def set_state(self, item: int, state: WorkState) -> None:
        """Record how far the work at an item is.

        Raises:
            InputError: There is no such state.
        """
        if state not in get_args(WorkState):
            raise InputError("state", expected=f"one of {', '.join(get_args(WorkState))}", got=repr(state))
        with self._file.transaction() as run:
            run("UPDATE item SET state = ? WHERE id = ?", state, item)

    def set_problem(self, item: int, problem: str) -> None:
        """Keep why an item could not be opened."""
        with self._file.transaction() as run:
            run("UPDATE item SET problem = ? WHERE id = ?", problem, item)

    def _items(self, where: str, *values: object) -> list[ItemRecord]:
        columns = "id, path, nullif(series, ''), nullif(volume, -1), name, state, image, problem"
        with self._file.reading():
            return [ItemRecord(*row) for row in self._connection.execute(f"SELECT {columns} FROM item {where}", values)]

    # Images

    def found(self, item: int, stamp: ImageStamp) -> ImageRecord:
        """Keep which image an item holds."""
        geometry = json.dumps(stamp.geometry.to_dict(), sort_keys=True)
        with self._file.transaction() as run:
            run(
                "INSERT OR IGNORE INTO image (sha256, geometry, stamp) VALUES (?, ?, ?)",
                *(stamp.sha256, geometry, json.dumps(stamp.to_dict())),
            )
            (number,) = run("SELECT id FROM image WHERE (sha256, geometry) = (?, ?)", stamp.sha256, geometry).fetchone()
            run("UPDATE item SET image = ?, problem = NULL WHERE id = ?", number, item)
        return self.image(number)

    def touch(self, item: int) -> None:
        """Keep that somebody opened an item just now."""
        with self._file.transaction() as run:
            run("UPDATE item SET opened = ? WHERE id = ?", time.time(), item)

    def image(self, number: int) -> ImageRecord:
        """Return an image that was opened once.

        Raises:
            InputError: There is no such image.
        """
        with self._file.reading():
            row = self._connection.execute(
                "SELECT stamp, model, policy, version FROM image WHERE id = ?", (number,)
            ).fetchone()
            stamp = {} if row is None else json.loads(row[0])
        if row is None:
            raise InputError("image", expected="one that was opened", got=number)
        return ImageRecord(number, ImageStamp.from_dict(stamp), *row[1:])

    def set_image(self, number: int, *, model: str | None = None, policy: OverlapPolicy | None = None) -> None:
        """Change what is given of an image; ``save`` counts it as a change."""
        with self._file.transaction() as run:
            run(
                "UPDATE image SET model = coalesce(?, model), policy = coalesce(?, policy) WHERE id = ?",
                *(model, policy, number),
            )

    # Objects and journal

    def save(
        self,
        image: int,
        rows: Sequence[ObjectRow],
        current: int | None,
        deleted: Sequence[int] = (),
        answered_by: str | None = None,
    ) -> int:
        """Write objects and the events that are new, in one transaction.

        Args:
            image: Number of the image.
            rows: Objects that changed.
            current: The object that prompts go to.
            deleted: Objects that are no more.
            answered_by: The model, where prompts are among the events: from now on it is the image's, and an item
                that was new is in progress.

        Returns:
            The image's version after the change.
        """
        with self._file.transaction() as run:
            for row in rows:
                _write_object(run, image, row)
                if row.kept is not None:
                    mask = row.kept.mask
                    region = json.dumps([mask.region.start, mask.region.stop])
                    bits = zlib.compress(mask.bits.tobytes(), 1)
                    run(
                        "INSERT OR REPLACE INTO mask (image, object, made_by, region, bits, quality)"
                        " VALUES (?, ?, ?, ?, ?, ?)",
                        *(image, row.id, row.made_by, region, bits, row.kept.quality),
                    )
            for number in deleted:
                run("UPDATE object SET deleted = 1 WHERE (image, id) = (?, ?)", image, number)
                run("DELETE FROM mask WHERE (image, object) = (?, ?)", image, number)
            if answered_by is not None:
                run("UPDATE image SET model = coalesce(model, ?) WHERE id = ?", answered_by, image)
                run("UPDATE item SET state = 'in progress' WHERE image = ? AND state = 'new'", image)
            run("UPDATE image SET current = ?, version = version + 1 WHERE id = ?", current, image)
            return int(run("SELECT version FROM image WHERE id = ?", image).fetchone()[0])

    def record(self, image: int, row: ObjectRow) -> None:
        """Write an object and the events that are new, on disk when it returns; the mask follows by ``save``."""
        with self._file.transaction() as run:
            _write_object(run, image, row)

    def withdraw(self, image: int, number: int, begun: bool) -> None:
        """Take back the last event of an object, and the object itself where it was ``begun`` with it.

        The journal only grows: what is taken back stays in the file, with a note that it never happened.
        """
        with self._file.transaction() as run:
            run(
                "INSERT INTO event (image, object, body, made) VALUES (?, ?, ?, ?)",
                *(image, number, json.dumps({"event": WITHDRAWN}), time.time()),
            )
            if begun:
                run("UPDATE object SET deleted = 1 WHERE (image, id) = (?, ?)", image, number)

    def last_object(self, image: int) -> int:
        """Return the highest number that an object of an image ever had, deleted ones included; 0 before the first."""
        return self._number("SELECT coalesce(max(id), 0) FROM object WHERE image = ?", image)

    def last_label(self, image: int) -> int:
        """Return the highest label that an object of an image has, or had when it was deleted; 0 before the first."""
        return self._number("SELECT coalesce(max(label), 0) FROM object WHERE image = ?", image)

    def last_prompt(self, image: int) -> int:
        """Return the highest number that a prompt of an image ever had, those of deleted objects included."""
        return self._number(
            "SELECT coalesce(max(json_extract(body, '$.id')), 0) FROM event"
            " WHERE image = ? AND json_extract(body, '$.event') = 'prompt'",
            image,
        )

    def lowest_quality(self, image: int) -> float | None:
        """Return the lowest quality that a model estimated of an object's mask; None where it estimated none."""
        query = "SELECT min(quality) FROM mask JOIN object o ON (o.image, o.id) = (mask.image, mask.object)"
        with self._file.reading():
            row = self._connection.execute(f"{query} WHERE o.image = ? AND NOT o.deleted", (image,)).fetchone()
        return None if row[0] is None else float(row[0])

    def objects(self, image: int) -> int:
        """Return how many objects an image has."""
        return self._number("SELECT count(*) FROM object WHERE image = ? AND NOT deleted", image)

    def annotated(self) -> list[int]:
        """Return the numbers of the images that have objects, in the order in which they were first opened."""
        with self._file.reading():
            found = self._connection.execute("SELECT DISTINCT image FROM object WHERE NOT deleted ORDER BY image")
            return [number for (number,) in found]

    def journal(self, image: int) -> tuple[Journal, dict[int, ObjectLook]]:
        """Return the journal of an image, and how each of its objects looks.

        Raises:
            FormatError: The file holds events that could not have happened.
        """
        record = self.image(image)
        with self._file.reading():
            rows = self._connection.execute(
                "SELECT id, name, colour, visible, locked, label FROM object"
                " WHERE image = ? AND NOT deleted ORDER BY id",
                (image,),
            ).fetchall()
            (current,) = self._connection.execute("SELECT current FROM image WHERE id = ?", (image,)).fetchone()
            events = {row[0]: self._events(image, row[0]) for row in rows}
        objects = [
            {"id": row[0], "name": row[1], "colour": row[2], "label": row[5], "events": events[row[0]]} for row in rows
        ]
        document = {
            "format": JOURNAL_FORMAT,
            "version": JOURNAL_VERSION,
            "model": record.model,
            "image": record.stamp.to_dict(),
            "current": current,
            "objects": objects,
        }
        try:
            journal = Journal.from_dict(document)
        except BedsideError as error:
            raise FormatError(f"{self.path}: image {image}: {error}") from error
        return journal, {row[0]: ObjectLook(bool(row[3]), bool(row[4])) for row in rows}

    def _events(self, image: int, number: int) -> list[Any]:
        found = self._connection.execute(
            "SELECT body FROM event WHERE (image, object) = (?, ?) ORDER BY seq", (image, number)
        )
        events: list[Any] = []
        for (body,) in found:
            event = json.loads(body)
            if event.get("event") == WITHDRAWN:
                events.pop()
            else:
                events.append(event)
        return events

    def remembered_mask(self, image: int, number: int, made_by: str | None) -> KeptMask | None:
        """Return the mask of an object, if it was made by just that; with None, by whatever predicted its prompts."""
        with self._file.reading():
            row = self._connection.execute(
                "SELECT region, bits, quality, made_by FROM mask WHERE (image, object) = (?, ?)", (image, number)
            ).fetchone()
            if row is None or made_by not in (None, row[3]):
                return None
            start, stop = json.loads(row[0])
            bits = np.frombuffer(zlib.decompress(row[1]), dtype=np.uint8)
        return KeptMask(PackedMask(Region(tuple(start), tuple(stop)), bits), row[2])

    # Inside

    def _number(self, query: str, *values: object) -> int:
        with self._file.reading():
            return int(self._connection.execute(query, values).fetchone()[0])


def _write_object(run: Any, image: int, row: ObjectRow) -> None:
    """Write an object as it is, and its events that are new."""
    run(
        "INSERT INTO object (image, id, name, colour, visible, locked, label) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (image, id) DO UPDATE SET name = excluded.name, colour = excluded.colour,"
        " visible = excluded.visible, locked = excluded.locked, label = excluded.label",
        *(image, row.id, row.name, row.colour, row.look.visible, row.look.locked, row.label),
    )
    for event in written_events(row.events, row.before):
        run(
            "INSERT INTO event (image, object, body, made) VALUES (?, ?, ?, ?)",
            *(image, row.id, json.dumps(event), time.time()),
        )
