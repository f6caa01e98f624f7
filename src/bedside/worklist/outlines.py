"""What a workspace knows of the images with objects, without reading them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedside.session.journal import Journal, ObjectJournal, with_labels
from bedside.session.workspace import ImageRecord, ItemRecord, Workspace

UNNAMED = re.compile(r"object \d+")
"""What an object is called that nobody gave a name."""
KIND = "object"
"""The class of objects without a name of their own."""

BESIDE = ".bedside.json"
"""What the name of the record of masks beside their image ends in, behind the masks' name; it begins with a dot."""


@dataclass(frozen=True, eq=False)
class Outline:
    """An image with objects, as far as the workspace knows it.

    Attributes:
        case: A name of letters, digits, - and _ that no other image of the export has.
        places: Items at which it lies, the one opened last first; at least one.
        record: The image in the workspace.
        journal: Its objects.
    """

    case: str
    places: tuple[ItemRecord, ...]
    record: ImageRecord
    journal: Journal

    @property
    def path(self) -> Path:
        """Where the image lies."""
        return Path(self.places[0].path)

    @property
    def identity(self) -> str:
        """What tells the image from others in any workspace, as a hash: its samples and its grid."""
        stamp = self.record.stamp
        return hashlib.sha256(json.dumps([stamp.sha256, stamp.geometry.to_dict()], sort_keys=True).encode()).hexdigest()

    @property
    def ndim(self) -> int:
        """How many axes the grid has."""
        return len(self.record.stamp.geometry.shape)

    @property
    def objects(self) -> tuple[ObjectJournal, ...]:
        """Its objects, each with a label."""
        return with_labels(self.journal.objects)


def outlines(
    workspace: Workspace, *, folder: Path | None = None, done: bool = False, apart: bool = True
) -> list[Outline]:
    """Return the images with objects, in the order in which they were first opened.

    Args:
        workspace: Where the work is.
        folder: Only those in this folder.
        done: Only those that are marked as done.
        apart: Whether names of cases differ from each other in all folders, and not within each folder alone.

    Raises:
        FormatError: A journal cannot be understood.
    """
    found: list[Outline] = []
    taken: dict[Path, set[str]] = {}
    for number in workspace.annotated():
        places = tuple(workspace.places(number))
        if folder is not None:
            places = tuple(p for p in places if Path(p.path).is_relative_to(folder.absolute()))
        if not places or (done and all(p.state != "done" for p in places)):
            continue
        journal, _ = workspace.journal(number)
        first = min(places, key=lambda p: p.id)
        names = taken.setdefault(Path() if apart else Path(first.path).parent, set())
        case = _case_name(first, names)
        names.add(case.lower())
        found.append(Outline(case, places, workspace.image(number), journal))
    return found


def _case_name(place: ItemRecord, taken: set[str]) -> str:
    """Return a name for an image that is not taken, in any case of its letters."""
    stem = re.sub(r"(\.nii|\.ome|\.seg)?(\.gz)?\.\w{1,5}$|\.nii\.gz$", "", place.name) or place.name
    plain = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:60] or "image"
    name, number = plain, 1
    while name.lower() in taken:
        number += 1
        name = f"{plain}-{number}"
    return name


@dataclass(frozen=True)
class Classes:
    """One list of values for the objects of all images: objects of one name have one value.

    Attributes:
        values: The value of each name.
        kept: Whether these are the values that the objects have.
    """

    values: dict[str, int]
    kept: bool

    def of(self, name: str) -> int:
        """Return the value of an object by its name."""
        return self.values[class_name(name)]


def class_name(name: str) -> str:
    """Return what kind of thing an object is: its name, or "object" where nobody gave it one."""
    return KIND if UNNAMED.fullmatch(name) else name


def classes_of(found: Iterable[Outline], *, consecutive: bool = False) -> Classes:
    """Return values by name: those of the objects where each name has one and each value one name.

    Args:
        found: The images.
        consecutive: Whether the values have to be 1, 2, ..., so that others are replaced.
    """
    pairs = sorted({(o.label or 0, class_name(o.name)) for outline in found for o in outline.objects})
    names = list(dict.fromkeys(name for _, name in pairs))
    labels = {label for label, _ in pairs}
    sound = len(pairs) == len(names) == len(labels)
    if sound and (not consecutive or labels == set(range(1, len(labels) + 1))):
        return Classes({name: label for label, name in pairs}, kept=True)
    return Classes({name: number for number, name in enumerate(names, start=1)}, kept=False)


def are_instances(found: Sequence[Outline]) -> bool:
    """Return whether the objects are many of one kind: nobody gave any of them a name."""
    return all(UNNAMED.fullmatch(o.name) for outline in found for o in outline.objects)
