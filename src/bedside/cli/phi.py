"""What commands that write or send DICOM share: ``--strip-phi`` and the map of UIDs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.core.errors import InputError

if TYPE_CHECKING:
    from bedside.io.dicom.uid_map import UidMap

StripOption = Annotated[
    bool, typer.Option("--strip-phi", help="Take out of DICOM what tells who the patient is (PS3.15, basic profile).")
]
UidMapOption = Annotated[
    Path | None,
    typer.Option("--uid-map", metavar="FILE", help="Where --strip-phi keeps old and new UIDs; stays in the hospital."),
]


def check_map(strip_phi: bool, uid_map: Path | None) -> None:
    """Make sure that a map of UIDs is given with --strip-phi alone, in a folder that is there.

    Raises:
        InputError: It is not.
    """
    if uid_map is None:
        return
    if not strip_phi:
        raise InputError(f"--uid-map {uid_map}", expected="--strip-phi with it", got="none")
    if uid_map.is_dir() or not uid_map.parent.is_dir():
        raise InputError(f"--uid-map {uid_map}", expected="a file in a folder that is there", got="none")


@contextmanager
def kept_map(strip_phi: bool, uid_map: Path | None) -> Iterator[UidMap | None]:
    """Yield the map that files are stripped by, None where they are not; it is on the disk before the first file is.

    Raises:
        InputError: As ``check_map``, or others may read the map.
        FormatError: The file is no map.
    """
    check_map(strip_phi, uid_map)
    if not strip_phi:
        yield None
        return
    from bedside.io.dicom.uid_map import UidMap

    uids = UidMap() if uid_map is None else UidMap.load(uid_map)
    if uid_map is not None:
        # Its key is what all new UIDs follow from.
        uids.save(uid_map)
    yield uids
    if uid_map is not None:
        uids.save(uid_map)


def tell_notes(notes: Iterable[str]) -> None:
    """Print what a user should know on stderr, a line each."""
    for note in notes:
        print(f"bedside: note: {note}", file=sys.stderr)
