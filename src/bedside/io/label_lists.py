"""Lists of labels: what each value of a label map is called and how it is coloured, without a mask.

Three kinds are read: JSON, ITK-SNAP's label description files, and 3D Slicer's colour tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.core.errors import FormatError
from bedside.core.labels import LARGEST_LABEL

SUFFIXES = (".json", ".txt", ".label", ".ctbl")
"""Names of files that are read as lists of labels."""
_LARGEST_FILE = 2**24
_ITK_SNAP = re.compile(r'(\d{1,9})\s+(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+[\d.]+\s+\d+\s+\d+\s+"([^"]*)"')
_SLICER = re.compile(r"(\d{1,9})\s+(\S+)\s+(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+\d{1,3}")
_HEXADECIMAL = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class LabelEntry:
    """What is said of a label.

    Attributes:
        label: Its value, 1 to 65,535.
        name: For people.
        colour: "#rrggbb"; None where the list names none.
    """

    label: int
    name: str
    colour: str | None = None


def is_label_list(path: Path) -> bool:
    """Return whether a file is a list of labels, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_label_list(path: str | Path) -> tuple[LabelEntry, ...]:
    """Return the labels of a list in the order of the file; the background, 0, is left out.

    Args:
        path: JSON: ``{"labels": ...}`` or what stands in its place here, which is names by value (``{"1": "liver"}``),
            values by name as nnU-Net has them (``{"liver": 1}``), or a list of ``{"label": 1, "name": "liver",
            "colour": "#c83232"}``. Or a label description file of ITK-SNAP, or a colour table of 3D Slicer (``.ctbl``).

    Raises:
        FormatError: It cannot be read, holds no label or one twice, or a value or colour that there cannot be.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise FormatError(f"{file}: list of labels", expected=f"at most {_LARGEST_FILE // 2**20} MiB")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FormatError(f"cannot read the list of labels {file}", got=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: list of labels", expected="text", got="bytes that are none") from error
    found = list(_of_json(file, text) if file.suffix.lower() == ".json" else _of_lines(file, text))
    entries = [entry for entry in found if entry.label != 0]
    labels = [entry.label for entry in entries]
    for entry in entries:
        if not 1 <= entry.label <= LARGEST_LABEL:
            raise FormatError(f"{file}: label", expected=f"1 to {LARGEST_LABEL:,}", got=entry.label)
    if not labels or len(set(labels)) < len(labels):
        twice = next((label for label in labels if labels.count(label) > 1), None)
        got = "none" if twice is None else f"{twice} twice"
        raise FormatError(f"{file}: list of labels", expected="labels, each once", got=got)
    return tuple(entries)


def _of_lines(path: Path, text: str) -> Iterator[LabelEntry]:
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        if snap := _ITK_SNAP.fullmatch(content):
            label, *levels, name = snap.groups()
        elif slicer := _SLICER.fullmatch(content):
            label, name, *levels = slicer.groups()
            # Names have no blanks there.
            name = name.replace("_", " ")
        else:
            raise FormatError(
                f"{path}: line {number}",
                expected="a label of ITK-SNAP or a colour of 3D Slicer",
                got=repr(content[:60]),
            )
        yield LabelEntry(int(label), name, _colour(path, [int(level) for level in levels]))


def _of_json(path: Path, text: str) -> Iterator[LabelEntry]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: list of labels", expected="JSON", got=str(error)[:80]) from error
    if isinstance(data, dict) and "labels" in data:
        data = data["labels"]
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield _entry(path, key, value)


def _entry(path: Path, key: Any, value: Any) -> LabelEntry:
    """Return what one item of JSON says; ``key`` is its place in a list, or its name in a mapping."""
    if isinstance(value, dict):
        label = next((value[name] for name in ("label", "value", "id") if name in value), key)
        name, colour = value.get("name"), value.get("colour", value.get("color"))
    elif isinstance(value, int) and isinstance(key, str):
        label, name, colour = value, key, None
    else:
        label, name, colour = key, value, None
    if isinstance(label, str) and label.isascii() and label.isdigit() and len(label) < 10:
        label = int(label)
    if not isinstance(label, int) or isinstance(label, bool) or not isinstance(name, str) or isinstance(key, bool):
        raise FormatError(f"{path}: item {key!r}", expected="a label and its name", got=repr(value)[:60])
    return LabelEntry(label, name, None if colour is None else _colour(path, colour))


def _colour(path: Path, given: Any) -> str:
    if isinstance(given, str) and _HEXADECIMAL.fullmatch(given):
        return given.lower()
    if isinstance(given, list) and len(given) >= 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in given[:3]):
        return "#" + "".join(f"{int(level):02x}" for level in given[:3])
    raise FormatError(f"{path}: colour", expected="#rrggbb, or red, green and blue from 0 to 255", got=repr(given)[:60])
