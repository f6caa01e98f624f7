"""Files that a header names: only by a plain name in the header's own folder, so that it cannot name any other file."""

from __future__ import annotations

import re
from pathlib import Path

from bedside.core.errors import FormatError

_LONGEST = 255


def file_beside(header: Path, name: str) -> Path:
    """Return the file of samples that a header names.

    Args:
        header: The file that names it.
        name: As it is written there; "./" before it is allowed, as NRRD's own tools write it.

    Raises:
        FormatError: It is no plain name, is not there or no regular file, or a link leads out of the header's folder.
    """
    found = header.parent / check_plain(header, name)
    if not found.is_file():
        raise FormatError(f"{header}: the file with its samples is missing", expected=found.name, got="nothing there")
    return found


def check_plain(header: Path, name: str) -> str:
    """Return a name that a header has, without "./" before it; there need not be such a file.

    Args:
        header: The file that names it.
        name: As it is written there.

    Raises:
        FormatError: It is no plain name, or a link of that name leads out of the header's folder.
    """
    plain = re.sub(r"^(\./+)+", "", name.strip())
    if (
        plain in ("", ".", "..")
        or len(plain) > _LONGEST
        or re.search(r"[/\\\0]", plain)
        or re.match(r"[A-Za-z]:", plain)
    ):
        raise _elsewhere(header, name)
    found = header.parent / plain
    if found.is_symlink() and found.resolve().parent != header.resolve().parent:
        raise _elsewhere(header, f"{plain}, a link to another folder")
    return plain


def numbered_files(path: Path, pattern: str, numbers: list[int], most: int) -> tuple[Path, ...]:
    """Return files that are named by a pattern such as ``slice%03d.raw`` and first, last and step of its number.

    Args:
        path: The header.
        pattern: With one number in it.
        numbers: First, last and step, which may go down; the step may be left out.
        most: How many there can be.

    Raises:
        FormatError: Another pattern, other numbers, or a file that is not there.
    """
    parts = re.fullmatch(r"([^%]*)%(0?)(\d?)d([^%]*)", pattern)
    first, last, step = (*numbers, 1)[:3] if len(numbers) in (2, 3) else (0, -1, 1)
    if parts is None or step == 0 or not 1 <= (last - first) // step + 1 <= most:
        raise FormatError(
            f"{path}: files of samples", expected=f"'name%03d.raw FIRST LAST STEP', at most {most}", got=pattern[:80]
        )
    fill, width = parts.group(2) or " ", int(parts.group(3) or 0)
    names = (
        f"{parts.group(1)}{str(n).rjust(width, fill)}{parts.group(4)}"
        for n in range(first, last + (1 if step > 0 else -1), step)
    )
    return tuple(file_beside(path, name) for name in names)


def _elsewhere(header: Path, name: str) -> FormatError:
    return FormatError(
        f"{header}: the file with its samples",
        expected="a plain name in the folder of the header",
        got=name[:_LONGEST] or "none",
        fix="put both into one folder and write the name alone into the header",
    )
