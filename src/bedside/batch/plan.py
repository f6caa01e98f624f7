"""From the rows of a manifest to the masks that are to be made: which rows make one, and where it goes."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bedside.batch.manifest import BadRow, Manifest, Row, as_given
from bedside.core.addresses import Address, address_name, below, remote_files
from bedside.core.errors import BedsideError, InputError
from bedside.core.tables import plain_cell
from bedside.io.registry import WRITERS, all_suffixes
from bedside.io.segmentations import form_of
from bedside.session.flags import PromptFlags

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
"""Images whose masks are PNG where nothing is said."""
USUAL_SUFFIX = ".nii.gz"


@dataclass(frozen=True)
class Item:
    """One mask to make.

    Attributes:
        output: Where it goes.
        rows: Its objects, in the order of the manifest; all of one image.
    """

    output: Path
    rows: tuple[Row, ...]

    @property
    def numbers(self) -> list[int]:
        """Numbers of its rows."""
        return [row.number for row in self.rows]


@dataclass(frozen=True)
class Failure:
    """A row of which no mask can be made.

    Attributes:
        number: Its number.
        image: Its image, as text.
        output: Where its mask would go, as text; "" where that is not known.
        message: Why.
        status: "failed", or "held" where another row of its mask failed.
    """

    number: int
    image: str
    output: str
    message: str
    status: str = "failed"


def plan(manifest: Manifest, folder: Path, home: Path, suffix: str | None) -> tuple[list[Item], list[Failure]]:
    """Return the masks to make and the rows of which none can be made.

    Rows of one image and one output make one mask. It is not made where one of them is bad, because a mask that lacks
    an object would pass for a whole one.

    Args:
        manifest: The rows.
        folder: Where the masks go.
        home: Folder of the manifest; masks lie below ``folder`` as their images lie below it.
        suffix: Of masks whose rows name no output; by default that of the image, where masks can be written so.

    Raises:
        InputError: No mask can be written with ``suffix``.
    """
    if suffix is not None and suffix not in _suffixes():
        raise InputError("--suffix", expected=f"one of {', '.join(_suffixes())}", got=f"'{suffix}'")
    failures: dict[int, Failure] = {}
    grouped: dict[Path, list[Row]] = defaultdict(list)
    images = {_image_place(row.image) for row in manifest.rows if isinstance(row, Row)}
    broken: dict[tuple[str, str | None], int] = {}
    for row in manifest.rows:
        if isinstance(row, BadRow):
            failures[row.number] = Failure(row.number, row.image, row.output or "", row.message)
            broken.setdefault((str(below(home, row.image)), row.output), row.number)
            continue
        try:
            output = output_of(row, folder, home, suffix)
            if not _is_there(row.image):
                raise InputError(f"{row.image}", expected="an existing file or folder", got="nothing there")
            if _place(output) in images:
                raise InputError(f"output {output}", expected="another file than an image of the manifest")
        except (BedsideError, OSError) as error:
            failures[row.number] = Failure(row.number, as_given(row.image, home), row.output or "", str(error))
            broken.setdefault((str(row.image), row.output), row.number)
            continue
        grouped[_place(output)].append(row)
    items = []
    for output, rows in grouped.items():
        found = _trouble(output, rows) or _held(rows, broken)
        if found:
            name = as_given(output, _place(folder))
            for row in rows:
                failures[row.number] = Failure(row.number, as_given(row.image, home), name, *found[row.number])
        else:
            items.append(Item(output, tuple(_labelled(rows))))
    return items, [failures[number] for number in sorted(failures)]


def output_of(row: Row, folder: Path, home: Path, suffix: str | None) -> Path:
    """Return where the mask of a row goes, always below ``folder``.

    Raises:
        InputError: A name that leads out of the folder, or a form that is no file of labels.
        FormatError: No format that can be written has its suffix.
    """
    if row.output is not None:
        relative = Path(plain_cell(row.output))
        if "\0" in row.output or relative.is_absolute() or ".." in relative.parts or not relative.name:
            raise InputError("output", expected="a name below the output folder", got=repr(row.output)[:80])
    else:
        relative = _named_after(row, home, suffix)
    if form_of(relative, None) != "file":
        raise InputError(
            f"output {relative}", expected="a file of labels", got="DICOM", fix="make it with: bedside convert"
        )
    return folder / relative


def _named_after(row: Row, home: Path, suffix: str | None) -> Path:
    image, base = Path(os.path.normpath(row.image)), Path(os.path.normpath(home))
    here = isinstance(row.image, Path)
    relative = image.relative_to(base) if here and image.is_relative_to(base) else Path(address_name(row.image))
    name = relative.name
    longest = max((s for s in (*_suffixes(), *PICTURES, ".dcm") if name.lower().endswith(s)), key=len, default="")
    own = "" if isinstance(row.image, Path) and row.image.is_dir() else longest
    stem = name[: len(name) - len(own)] or name
    if row.series is not None:
        stem += "-" + "".join(c if c.isalnum() or c in "._-" else "_" for c in row.series)
    if row.volume is not None:
        stem += f"-{row.volume}"
    if suffix is None:
        suffix = ".png" if own in PICTURES else own if own in _suffixes() else USUAL_SUFFIX
    return relative.with_name(stem + suffix)


def _suffixes() -> list[str]:
    return [s.strip() for s in all_suffixes([writer for _, writer in WRITERS.items()]).split(",")]


def _place(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _image_place(image: Address) -> Address:
    return _place(image) if isinstance(image, Path) else image


def _is_there(image: Address) -> bool:
    return image.exists() if isinstance(image, Path) else bool(remote_files(image))


def _trouble(output: Path, rows: Sequence[Row]) -> dict[int, tuple[str, str]]:
    """Return why rows make no mask together, a message and a status by number; nothing where they do."""
    of = defaultdict(list)
    for row in rows:
        of[_image_place(row.image), row.series, row.volume].append(row.number)
    if len(of) > 1:
        return {
            row.number: (
                f"output {output}: expected one for each image, got it in "
                f"{_rows({r.number for r in rows} - {row.number})} too; name outputs in the column 'output'",
                "failed",
            )
            for row in rows
        }
    wrong: dict[int, str] = {}
    whole = [row.number for row in rows if row.journal is not None or row.mask is not None]
    if whole and len(rows) > 1:
        wrong = dict.fromkeys(whole, "prompts: expected the only row of its image, got others; put all into the file")
    counts = Counter(row.label for row in rows if row.label is not None)
    for row in rows:
        if row.label is not None and counts[row.label] > 1:
            wrong[row.number] = f"label {row.label}: expected each once in a mask, got it in {counts[row.label]} rows"
    earlier: dict[PromptFlags, int] = {}
    for row in rows:
        if row.journal is None and row.mask is None and earlier.setdefault(row.flags, row.number) != row.number:
            own = f"prompts: expected those of one more object, got those of row {earlier[row.flags]} again"
            wrong.setdefault(row.number, own)
    if not wrong:
        return {}
    return {row.number: (wrong[row.number], "failed") if row.number in wrong else held(wrong) for row in rows}


def _held(rows: Sequence[Row], broken: dict[tuple[str, str | None], int]) -> dict[int, tuple[str, str]]:
    culprits = {broken[key] for row in rows if (key := (str(row.image), row.output)) in broken}
    return {row.number: held(culprits) for row in rows} if culprits else {}


def held(culprits: Iterable[int]) -> tuple[str, str]:
    """Return message and status of a row whose mask is not made because of others."""
    return f"not made: {_rows(culprits)} of the same mask failed", "held"


def _rows(numbers: Iterable[int]) -> str:
    some = sorted(numbers)
    return ("row " if len(some) == 1 else "rows ") + ", ".join(map(str, some[:5])) + (", ..." if len(some) > 5 else "")


def _labelled(rows: Sequence[Row]) -> list[Row]:
    """Give each row a label: that of its place, or the next that is free."""
    if any(row.journal is not None or row.mask is not None for row in rows):
        return list(rows)
    taken = {row.label for row in rows}
    labelled = []
    for place, row in enumerate(rows, start=1):
        label = row.label
        if label is None:
            label = next(n for n in range(place, place + 2 * len(rows) + 1) if n not in taken)
            taken.add(label)
        labelled.append(replace(row, label=label))
    return labelled
