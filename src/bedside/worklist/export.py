"""Exporting a workspace: made whole in a folder of its own, then put in place; what fails costs its own image alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bedside import __version__
from bedside.core.errors import BedsideError, FormatError, InputError, StorageError
from bedside.core.files import move_set_into_place, scratch_folder, write_text_atomically
from bedside.core.tables import csv_text
from bedside.session.workspace import Workspace
from bedside.worklist.entries import Entry, LeftOutError, open_entry
from bedside.worklist.layouts import LAYOUTS, Plan
from bedside.worklist.measures import COLUMNS, rows_of
from bedside.worklist.outlines import BESIDE, Outline
from bedside.worklist.pieces import write_json
from bedside.worklist.targets import check_targets

RECORD = "bedside-export.json"
"""File of an export that says what belongs to it, so that the next replaces just that."""
_FORMAT = "bedside-export"


@dataclass
class Outcome:
    """What became of an export.

    Attributes:
        cases: Images that are in it.
        failures: Why others are not, by their paths.
        notes: What a user should know, a sentence each.
        failed: The images of ``failures`` whose files of an earlier export are still right.
    """

    cases: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: list[Outline] = field(default_factory=list)


def read_entries(
    workspace: Workspace, found: Sequence[Outline], outcome: Outcome, use: Callable[[Entry], None]
) -> None:
    """Hand the images one after the other to ``use``; one that cannot be read or used is a failure of its own."""
    for outline in found:
        try:
            use(open_entry(workspace, outline))
        except StorageError:
            # A disk that is full is full for all of them.
            raise
        except BedsideError as error:
            told = str(error)
            path = str(outline.path)
            outcome.failures[path] = told if path in told else f"{path}: {told}"
            if not isinstance(error, LeftOutError):
                outcome.failed.append(outline)
        else:
            outcome.cases += 1


def export(
    workspace: Workspace,
    found: Sequence[Outline],
    *,
    layout: str = "beside",
    folder: Path | None = None,
    statistics: Path | None = None,
    name: str = "annotated",
    suffix: str | None = None,
) -> Outcome:
    """Write masks in a layout, and a table of what they measure.

    The same work gives the same files, and files of an earlier export into the folder that are no longer part of it
    are removed; files that Bedside did not write there, or that were changed since, are left alone.

    Args:
        workspace: Where the work is.
        found: What to export, see ``outlines``.
        layout: One of ``LAYOUTS``.
        folder: Where to; None for beside the images (layout "beside") or, with ``statistics``, for no masks.
        statistics: CSV to write.
        name: Of the data set, where the layout has one.
        suffix: Format of masks, of the layout "beside".

    Raises:
        InputError: Nothing to export, an unknown layout, a file in the way, or a place that is an input.
        BedsideError: The place cannot be written.
    """
    chosen, outcome = LAYOUTS.get(layout), Outcome()
    if suffix is not None and layout != "beside":
        raise InputError("--suffix", expected="the layout beside", got=layout)
    check_targets(workspace, folder=folder, table=statistics)
    if not found:
        raise InputError("nothing to export", expected="an image with objects", got="none")
    plan = Plan(found, name, suffix)
    rows: list[list[object]] = []

    def measured(entry: Entry) -> None:
        if statistics is not None:
            rows.extend(rows_of(entry))

    if folder is not None:
        with replacing(folder) as replaced:
            building = chosen.begin(replaced.made, plan)

            def both(entry: Entry) -> None:
                try:
                    replaced.add(building, entry)
                except LeftOutError:
                    measured(entry)
                    raise
                measured(entry)

            read_entries(workspace, found, outcome, both)
            replaced.finish(building, outcome)
    else:
        # A table alone asks for no masks.
        masks = layout == "beside" and (statistics is None or suffix is not None)

        def beside(entry: Entry) -> None:
            if masks:
                _beside(entry, plan, outcome)
            measured(entry)

        read_entries(workspace, found, outcome, beside)
    # Where no image could be read, the older table is the better one.
    if statistics is not None and rows:
        write_text_atomically(statistics, csv_text([COLUMNS, *rows]))
    return outcome


def write_beside(entry: Entry, suffix: str | None = None) -> tuple[str, ...]:
    """Write the masks of one image, with the list of its labels, beside it, in place of those of the last time.

    Args:
        entry: The image with its masks.
        suffix: Format of the masks; None for the usual one.

    Returns:
        What a user should know, a sentence each.

    Raises:
        InputError: A file is in the way that no export wrote, or that was changed since.
        FormatError: The folder cannot be written to.
    """
    outcome = Outcome()
    _beside(entry, Plan([entry.outline], "annotated", suffix), outcome)
    return tuple(outcome.notes)


def _beside(entry: Entry, plan: Plan, outcome: Outcome) -> None:
    """Write the masks of one image beside it."""
    record = f".{entry.outline.case}-labels{BESIDE}"
    try:
        with replacing(entry.outline.path.parent, record) as replaced:
            building = LAYOUTS.get("beside").begin(replaced.made, plan)
            replaced.add(building, entry)
            outcome.notes += [note for note in building.finish() if note not in outcome.notes]
    except StorageError as error:
        # Another image may lie where there is room.
        raise FormatError(str(error)) from error


@dataclass
class Replacement:
    """An export that is being made, beside the one before.

    Attributes:
        folder: Where it goes.
        made: Empty folder to make it in.
        before: Files of the export before with their checksums.
        owned: Which of them are of which image, by its ``identity``.
        written: Files of images that are made now, likewise.
        kept: Files of before of images that failed, likewise.
    """

    folder: Path
    made: Path
    before: dict[str, str]
    owned: dict[str, list[str]]
    written: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)

    def add(self, building: _Adds, entry: Entry) -> None:
        """Add an image; errors name the place where it would have gone."""
        try:
            paths = building.add(entry)
        except StorageError:
            raise
        except BedsideError as error:
            told = str(error).replace(str(self.made), str(self.folder))
            kind = LeftOutError if isinstance(error, LeftOutError) else FormatError
            raise kind(told) from error
        self.written[entry.outline.identity] = [p.relative_to(self.made).as_posix() for p in paths]

    def finish(self, building: _Adds, outcome: Outcome) -> None:
        """End it, with the files of before of images that failed; does nothing where all of them did."""
        if not outcome.cases:
            return
        for outline in outcome.failed:
            files = self.owned.get(outline.identity)
            if files and outline.identity not in self.written:
                self.kept[outline.identity] = files
                if all((self.folder / name).is_file() for name in files):
                    building.keep(outline, files, self.folder)
        outcome.notes += building.finish()


class _Adds(Protocol):
    """What ``Building`` and training sets share."""

    def add(self, entry: Entry) -> Sequence[Path]: ...

    def keep(self, outline: Outline, files: Sequence[str], folder: Path) -> None: ...

    def finish(self) -> Sequence[str]: ...


@contextmanager
def replacing(folder: Path, record: str = RECORD) -> Iterator[Replacement]:
    """Yield what is made in an empty folder, whose files then replace those of the export before, all or none.

    Args:
        folder: Where they go.
        record: Name of the file that says which are of an export, and their checksums.

    Raises:
        InputError: A file is in the way that no export wrote, or that was changed since.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}", expected="a folder to write to", got="a file")
    before, owned = _files_before(folder / record)
    with scratch_folder(folder) as scratch:
        inside = scratch / "export"
        inside.mkdir()
        replaced = Replacement(folder, inside, before, owned)
        yield replaced
        made = sorted(p for p in inside.rglob("*") if p.is_file())
        names = {p.relative_to(inside).as_posix(): p for p in made}
        if not names:
            return
        stay = {name for files in replaced.kept.values() for name in files}
        for name in names:
            target = folder / name
            if name in stay:
                raise InputError(
                    f"{target}",
                    expected="a name of its own",
                    got="that of an image which cannot be read now",
                    fix="write to another folder",
                )
            if target.exists() and before.get(name) != _digest(target):
                known = "one that was changed since it was exported" if name in before else "a file of another"
                raise InputError(
                    f"{target}", expected="nothing, or a file of the last export", got=known, fix="move it away"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
        files = {name: _digest(path) for name, path in names.items()}
        files |= {name: before[name] for name in sorted(stay & before.keys())}
        images = {**replaced.kept, **replaced.written}
        about = {"format": _FORMAT, "version": 1, "bedside": __version__, "files": files, "images": images}
        write_json(inside / record, about)
        pairs = [(path, folder / name) for name, path in names.items()]
        move_set_into_place([*pairs, (inside / record, folder / record)])
    for name in sorted(before.keys() - names.keys() - stay):
        _remove(folder, name, before[name])


def _files_before(record: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the files of an earlier export with their checksums, and those of each image; none without an export."""
    try:
        data = json.loads(record.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            return {}, {}
        files = {str(name): str(digest) for name, digest in data["files"].items()}
        owned = {str(image): [n for n in names if n in files] for image, names in data["images"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}, {}
    return files, owned


def _remove(folder: Path, name: str, digest: str) -> None:
    """Remove a file that is no longer part of the export, and folders that it leaves empty."""
    path = folder / name
    inside = path.resolve().is_relative_to(folder.resolve()) and not path.is_symlink()
    if not inside or not path.is_file() or _digest(path) != digest:
        return
    path.unlink()
    for parent in path.parents:
        if parent == folder or any(parent.iterdir()):
            return
        parent.rmdir()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
