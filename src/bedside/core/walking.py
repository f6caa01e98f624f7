"""Which files below a folder are looked at: regular ones alone, so many and so deep at most.

A named pipe would be waited for without end, a device may be endless, and a folder may be a whole disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bedside.core.errors import FormatError

MOST = 100_000
"""Files and folders below one that are looked at."""
DEEPEST = 64
"""Folders within each other that are looked into; what lies deeper was not put there by hand."""

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_ordinary(path: Path) -> None:
    """Make sure that a path is a file or a folder, if it is there at all.

    Raises:
        FormatError: It is a named pipe, a socket or a device.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):
        return
    if kind in _KINDS:
        raise FormatError(f"{path}", expected="a file or a folder", got=_KINDS[kind])


def files_below(folder: Path, most: int | None = None) -> Iterator[Path]:
    """Yield the regular files below a folder whose names do not begin with a dot, each folder's by name.

    Links to files are followed, links to folders are not.

    Args:
        folder: A folder; a file is yielded itself.
        most: Files and folders that are looked at; ``MOST`` by default.

    Raises:
        FormatError: There are more.
    """
    if folder.is_file():
        yield folder
        return
    looked, limit = 0, MOST if most is None else most
    for place, folders, names in os.walk(folder):
        looked += len(folders) + len(names)
        if looked > limit:
            raise FormatError(
                f"{folder}", expected=f"at most {limit:,} files below it", got="more", fix="name a folder further down"
            )
        folders.sort()
        if len(Path(place).parts) - len(folder.parts) >= DEEPEST:
            folders.clear()
        yield from (Path(place) / n for n in sorted(names) if not n.startswith(".") and (Path(place) / n).is_file())
