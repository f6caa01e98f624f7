"""Manifests: tables whose rows are the objects to segment, as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import importlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from bedside.core.addresses import Address, below
from bedside.core.errors import BedsideError, DependencyError, FormatError, InputError
from bedside.core.labels import check_label
from bedside.core.prompts import Frame
from bedside.core.tables import plain_cell
from bedside.session.flags import PromptFlags

COORDINATES = ("box", "point", "negative_point")
FILES = ("scribble", "negative_scribble", "lasso")
PLACES = ("frame", "series", "volume", "output")
COLUMNS = ("image", "object", "label", *COORDINATES, *FILES, "initial_mask", "prompts", "mask", *PLACES)
"""Columns that mean something; options of ``bedside segment`` have their own names, with or without hyphens."""
SEPARATOR = ";"
"""Between several values in one cell."""

_SIGNS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""What some programs write between the cells of a table in place of commas."""


@dataclass(frozen=True)
class Row:
    """One object to segment, or all objects of one image where it names a journal.

    Attributes:
        number: Place in the table, from 1; the line of names is not counted.
        image: Image file or DICOM folder; text where it is a URL.
        flags: Prompts of the object.
        journal: Journal (JSON) with the prompts of all objects of the image.
        mask: Mask whose labels are the objects and whose connected parts are their boxes.
        name: What the object is; None leaves it to the session.
        label: Its value in the mask; None gives it that of its place.
        series: DICOM series.
        volume: Volume of a file that holds several.
        output: Where the mask goes, below the output folder; None names it after the image.
    """

    number: int
    image: Address
    flags: PromptFlags
    journal: Path | None = None
    mask: Path | None = None
    name: str | None = None
    label: int | None = None
    series: str | None = None
    volume: int | None = None
    output: str | None = None


def as_given(path: Address, home: Path) -> str:
    """Return a path as a manifest in the folder ``home`` has it: a folder moved as a whole changes none."""
    return str(path.relative_to(home)) if isinstance(path, Path) and path.is_relative_to(home) else str(path)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be understood.

    Attributes:
        number: As ``Row``.
        image: What it says of the image, "" where it says nothing.
        output: What it says of the mask, None where it says nothing.
        message: Why.
    """

    number: int
    image: str
    output: str | None
    message: str


@dataclass(frozen=True)
class Manifest:
    """A table that was read.

    Attributes:
        rows: In the order of the table.
        unused: Columns that mean nothing here.
    """

    rows: tuple[Row | BadRow, ...]
    unused: tuple[str, ...]


def read_manifest(path: Path, *, frame: Frame = "index", from_masks: bool = False) -> Manifest:
    """Return the rows of a manifest; those that cannot be understood say why, and the others are none the worse for it.

    Args:
        path: ``.csv``, ``.jsonl`` or ``.parquet``. Paths in it are relative to its folder.
        frame: What coordinates mean where a row does not say.
        from_masks: Whether the column ``mask`` gives prompts; else it means nothing.

    Raises:
        FormatError: The table cannot be read.
        InputError: It has no row, no column ``image``, another sign than commas between its cells, or a column that
            looks like a misspelt one.
        DependencyError: It is Parquet, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in _TABLES:
        raise InputError(f"manifest {path}", expected=f"a file that ends in {', '.join(_TABLES)}", got=path.name)
    records = list(_TABLES[suffix](path))
    if not records:
        raise InputError(f"manifest {path}", expected="at least one row", got="none")
    known = [name for name in COLUMNS if name != "mask" or from_masks]
    named = list(dict.fromkeys(name for record in records if isinstance(record, Mapping) for name in record))
    if "image" not in named and any(isinstance(record, Mapping) for record in records):
        raise InputError(f"manifest {path}", expected="a column 'image'", got=", ".join(named)[:200] or "no columns")
    unused = tuple(name for name in named if name not in known)
    for name in unused:
        close = [other for other in known if _one_slip(name, other)] or get_close_matches(name, known, 1, 0.75)
        if close and close[0] not in named and name != "mask":
            raise InputError(
                f"manifest {path}: column '{name}'", expected=f"a name like '{close[0]}', or one that is unlike it"
            )
    rows = [_row(n, record, path.parent, frame, from_masks) for n, record in enumerate(records, start=1)]
    return Manifest(tuple(rows), unused)


Record = Mapping[str, Any] | str
"""A row as it was read: values by column, or why it could not be read."""


def _csv(path: Path) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(_text(path), newline=""))
    try:
        names = [_column(name) for name in next(reader, [])]
        if len(set(names)) < len(names):
            raise InputError(f"manifest {path}", expected="each column once", got=", ".join(names)[:200])
        if (other := _other_separator(names)) is not None:
            fix = "save the table with commas, and cells that have commas in quotes"
            raise InputError(f"manifest {path}", expected="commas between the cells", got=other, fix=fix)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(names):
                yield f"expected {len(names)} cells, got {len(cells)}; put a cell with commas in quotes"
                continue
            yield {name: plain_cell(cell.strip()) for name, cell in zip(names, cells, strict=False)}
    except csv.Error as error:
        raise FormatError(f"manifest {path}", expected="CSV", got=str(error)) from error


def _jsonl(path: Path) -> Iterator[Record]:
    for line in _text(path).split("\n"):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield f"expected a line of JSON, got {str(error)[:80]}"
            continue
        if not isinstance(found, dict):
            yield f"expected an object in JSON, got {line[:40]}"
            continue
        yield {_column(name): value for name, value in found.items()}


def _parquet(path: Path) -> Iterator[Record]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        fix = "install pyarrow, or write the table as CSV"
        raise DependencyError(f"manifest {path}", expected="pyarrow to read Parquet", got="none", fix=fix) from error
    try:
        records = parquet.read_table(path).to_pylist()
    except Exception as error:
        raise FormatError(f"manifest {path}", expected="Parquet", got=str(error)[:200]) from error
    for record in records:
        yield {_column(name): value for name, value in record.items()}


_TABLES: dict[str, Callable[[Path], Iterator[Record]]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"cannot read the manifest '{path}'", got=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise FormatError(f"manifest {path}", expected="text in UTF-8", got=str(error)) from error


def _other_separator(names: Sequence[str]) -> str | None:
    """Return what stands between the names of columns in place of commas; None where commas do."""
    if "image" in names:
        return None
    line = ",".join(names)
    return next((said for sign, said in _SIGNS.items() if "image" in map(_column, line.split(sign))), None)


def _one_slip(name: str, other: str) -> bool:
    """Return whether a name is another with one letter too many, too few or wrong, or with two neighbours swapped."""
    if len(name) == len(other):
        wrong = [place for place in range(len(name)) if name[place] != other[place]]
        swapped = len(wrong) == 2 and [name[place] for place in wrong] == [other[place] for place in wrong[::-1]]
        return len(wrong) < 2 or (swapped and wrong[1] == wrong[0] + 1)
    short, long = sorted((name, other), key=len)
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))


def _column(name: object) -> str:
    return str(name).strip().lower().replace("-", "_")


def _row(number: int, record: Record, folder: Path, frame: Frame, from_masks: bool) -> Row | BadRow:
    if isinstance(record, str):
        return BadRow(number, "", None, record)
    given = {name: value for name, value in record.items() if value is not None and value not in ("", [])}
    try:
        return _understood(number, given, folder, frame, from_masks)
    except BedsideError as error:
        output = given.get("output")
        return BadRow(number, str(given.get("image", "")), None if output is None else str(output), str(error))


def _understood(number: int, given: Mapping[str, Any], folder: Path, frame: Frame, from_masks: bool) -> Row:
    text = _text_of(given, "image")
    if text is None:
        raise InputError("image", expected="a path or URL", got="nothing")
    path = below(folder, text) if "://" in text else _path(text, "image", folder)
    chosen = _text_of(given, "frame") or frame
    if chosen not in get_args(Frame):
        raise InputError("frame", expected=f"one of {', '.join(get_args(Frame))}", got=repr(chosen))
    boxes, points, negative_points = (tuple(_coordinates(given.get(name), name)) for name in COORDINATES)
    on, off, around = (tuple(_path(text, name, folder) for text in _several(given.get(name), name)) for name in FILES)
    flags = PromptFlags(
        boxes, points, negative_points, on, off, around, _file(given, "initial_mask", folder),
        "world" if chosen == "world" else "index",
    )  # fmt: skip
    row = Row(
        number, path, flags, _file(given, "prompts", folder), _file(given, "mask", folder) if from_masks else None,
        _text_of(given, "object"), _whole(given, "label"), _text_of(given, "series"), _whole(given, "volume"),
        _text_of(given, "output"),
    )  # fmt: skip
    _check(row)
    return row


def _check(row: Row) -> None:
    """Make sure of what can be known before the image is read.

    Raises:
        BedsideError: Prompts from two places or from none, or that cannot be understood, or a label out of range.
    """
    row.flags.typed()
    typed = row.flags.has_prompts or row.flags.initial_mask is not None
    sources = [typed, row.journal is not None, row.mask is not None]
    if sum(sources) != 1:
        places = "box, point, scribble, lasso or initial_mask, or else prompts, or else mask"
        raise InputError("prompts", expected=places, got="more than one of these" if any(sources) else "none of these")
    if not typed and (row.name is not None or row.label is not None):
        raise InputError("object and label", expected="none where a file names the objects", got="one")
    if row.label is not None:
        check_label(row.label)


def _coordinates(value: object, name: str) -> Iterator[str]:
    """Return values as the options have them; in JSON a list of numbers, or a list of such, will do."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        rows = value if all(isinstance(part, Sequence) for part in value) else [value]
        for part in rows:
            yield part if isinstance(part, str) else ",".join(str(number) for number in part)
        return
    yield from _several(value, name)


def _several(value: object, name: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(SEPARATOR) if part.strip()]
    if isinstance(value, Sequence) and all(isinstance(part, str) for part in value):
        return [str(part) for part in value]
    raise InputError(name, expected="text, or a list of texts", got=repr(value)[:60])


def _path(text: str, name: str, folder: Path) -> Path:
    if "\0" in text:
        raise InputError(name, expected="a path", got=repr(text)[:80])
    return folder / text


def _file(given: Mapping[str, Any], name: str, folder: Path) -> Path | None:
    text = _text_of(given, name)
    return None if text is None else _path(text, name, folder)


def _text_of(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise InputError(name, expected="text", got=repr(value)[:60])
    return str(value).strip()


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.removesuffix(".0").isdigit() and len(text) < 12):
        raise InputError(name, expected="a whole number from 0", got=repr(value)[:60])
    return int(text.removesuffix(".0"))
