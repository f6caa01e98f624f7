"""Layouts in which masks leave a workspace, each one file that registers a ``Layout``.

Another package adds one by an entry point of the group ``bedside.layouts``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bedside.core.registry import Registry
from bedside.worklist.entries import Entry
from bedside.worklist.outlines import Outline


@dataclass(frozen=True)
class Plan:
    """What is known before the first image is read.

    Attributes:
        outlines: The images with their objects.
        name: What the data set is called.
        suffix: Format of masks, of a layout that leaves the choice; None for its own.
    """

    outlines: Sequence[Outline]
    name: str
    suffix: str | None = None


class Building(Protocol):
    """A layout that is being made in a folder; the caller puts the files of it in their places."""

    def add(self, entry: Entry) -> Sequence[Path]:
        """Write the files of an image and return them; after an error none of them are left.

        Raises:
            LeftOutError: It does not belong into the layout, nor does what an earlier export made of it.
            BedsideError: The layout cannot hold it.
        """

    def keep(self, outline: Outline, files: Sequence[str], folder: Path) -> None:
        """Count in an image that failed, whose files of the export before stay.

        Args:
            outline: The image.
            files: Its files, relative to the folder.
            folder: The export before, still whole.

        Raises:
            BedsideError: They do not go together with what is made now.
        """

    def finish(self) -> Sequence[str]:
        """Write what is said of all images, and return what a user should know, a sentence each."""


@dataclass(frozen=True)
class Layout:
    """A way to lay out masks and images.

    Attributes:
        title: Its name for people.
        help: One sentence on what it is.
        begin: ``begin(folder, plan)`` begins one in an empty folder.
    """

    title: str
    help: str
    begin: Callable[[Path, Plan], Building]


LAYOUTS: Registry[Layout] = Registry("layout", "bedside.worklist.layouts", Layout)
