"""Exporting a workspace: made whole in a folder of its own, then put in place; what fails costs its own image alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bedside import __version__
from bedside.core.errors import BedsideError, FormatError, InputError, StorageError
from bedside.core.files import move_set_into_place, scratch_folder, write_text_atomically
from bedside.core.tables import csv_text
from bedside.session.workspace import Workspace
from bedside.worklist.entries import Entry, open_entry
from bedside.worklist.layouts import LAYOUTS, Plan
from bedside.worklist.measures import COLUMNS, rows_of
from bedside.worklist.outlines import Outline
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
    """

    cases: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


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
        with replacing(folder) as scratch:
            building = chosen.begin(scratch, plan)

            def both(entry: Entry) -> None:
                building.add(entry)
                measured(entry)

            read_entries(workspace, found, outcome, both)
            outcome.notes += building.finish() if outcome.cases else ()
    else:
        # A table alone asks for no masks.
        masks = layout == "beside" and (statistics is None or suffix is not None)

        def beside(entry: Entry) -> None:
            if masks:
                _beside(entry, plan, outcome)
            measured(entry)

        read_entries(workspace, found, outcome, beside)
    if statistics is not None:
        write_text_atomically(statistics, csv_text([COLUMNS, *rows]))
    return outcome


def _beside(entry: Entry, plan: Plan, outcome: Outcome) -> None:
    """Write the masks of one image beside it."""
    record = f".{entry.outline.case}-labels.bedside.json"
    try:
        with replacing(entry.outline.path.parent, record) as scratch:
            building = LAYOUTS.get("beside").begin(scratch, plan)
            building.add(entry)
            outcome.notes += [note for note in building.finish() if note not in outcome.notes]
    except StorageError as error:
        # Another image may lie where there is room.
        raise FormatError(str(error)) from error


@contextmanager
def replacing(folder: Path, record: str = RECORD) -> Iterator[Path]:
    """Yield an empty folder whose files then replace those of the export before, all or none.

    Args:
        folder: Where they go.
        record: Name of the file that says which are of an export, and their checksums.

    Raises:
        InputError: A file is in the way that no export wrote, or that was changed since.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}", expected="a folder to write to", got="a file")
    before = _files_before(folder / record)
    with scratch_folder(folder) as scratch:
        inside = scratch / "export"
        inside.mkdir()
        yield inside
        made = sorted(p for p in inside.rglob("*") if p.is_file())
        names = {p.relative_to(inside).as_posix(): p for p in made}
        if not names:
            return
        for name in names:
            target = folder / name
            if target.exists() and before.get(name) != _digest(target):
                known = "one that was changed since it was exported" if name in before else "a file of another"
                raise InputError(
                    f"{target}", expected="nothing, or a file of the last export", got=known, fix="move it away"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
        files = {name: _digest(path) for name, path in names.items()}
        write_json(inside / record, {"format": _FORMAT, "version": 1, "bedside": __version__, "files": files})
        pairs = [(path, folder / name) for name, path in names.items()]
        move_set_into_place([*pairs, (inside / record, folder / record)])
    for name in sorted(before.keys() - names.keys()):
        _remove(folder, name, before[name])


def _files_before(record: Path) -> dict[str, str]:
    """Return the files of an earlier export with their checksums; none where there was no export."""
    try:
        data = json.loads(record.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            return {}
        return {str(name): str(digest) for name, digest in data["files"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


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
