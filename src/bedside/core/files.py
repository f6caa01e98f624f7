"""Writing files so that an interruption, a kill or a full disk leaves the old one.

Everything that Bedside writes goes through ``atomic_path`` or, where several files belong together, through
``scratch_folder`` and ``move_set_into_place``. What a killed run leaves is called
``.bedside-<process>-<random><suffix>`` and is removed by the next run that writes to the same folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.core.disk import make_sure, sync_folder, told, told_of_disk
from bedside.core.errors import InputError
from bedside.core.scratch import claim_file, claim_folder, released, sweep


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path`` that replaces it when the block ends without an error.

    The temporary name keeps the suffixes of ``path``, because writers choose the format by it. Before the rename the
    file is on disk, and it is made sure that the disk did not run full meanwhile, because some libraries say nothing
    of it when their last bytes cannot be written; after it the folder is on disk. A link stays one, and what it
    points to is replaced; an older file's permissions stay, a new one gets those of any new file. After an error
    nothing is left behind and an older file is untouched.

    Raises:
        InputError: ``path`` is something else than a file: a folder, a device.
        StorageError: The disk is full, or the place cannot be written for another reason.
    """
    given = Path(path)
    with told(given):
        target = _true_place(given)
        older = _older(given, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        temporary = claim_file(target, older)
    with released(temporary):
        with told_of_disk(given, temporary):
            yield temporary
        with told(given):
            make_sure(temporary)
            if older is not None:
                _keep_access(temporary, older)
            temporary.replace(target)
            sync_folder(target.parent)


def write_text_atomically(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, replacing an older file only once all of it is on disk."""
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path``, replacing an older file only once all of it is on disk."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def append_text(path: str | Path, text: str) -> None:
    """Add ``text`` as UTF-8 to the end of a file, made where there is none; after an error the file is as it was.

    Raises:
        StorageError: The disk is full, or the place cannot be written for another reason.
    """
    with told(Path(path)), Path(path).open("ab", buffering=0) as file:
        size, rest = os.fstat(file.fileno()).st_size, memoryview(text.encode("utf-8"))
        try:
            while rest:
                rest = rest[file.write(rest) or 0 :]
        except BaseException:
            file.truncate(size)
            raise


@contextmanager
def scratch_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder inside ``folder``, private to the user, which is removed when the block ends.

    One that a killed run left is removed by the next.

    Raises:
        StorageError: The disk is full, or the place cannot be written for another reason.
    """
    parent = Path(folder)
    with told(parent):
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        temporary = claim_folder(parent)
    with released(temporary), told_of_disk(parent, temporary):
        yield temporary


def move_into_place(source: str | Path, target: str | Path) -> None:
    """Move a complete file or folder to ``target`` on the same disk; a file is on disk before it gets the name.

    Links and permissions stay as with ``atomic_path``.

    Raises:
        InputError: A file is to be moved to where something else is.
        StorageError: It cannot be moved.
    """
    made, given = Path(source), Path(target)
    with told(given):
        place = _made_ready(made, given) if made.is_file() else _true_place(given)
        os.replace(made, place)  # noqa: PTH105 - a folder, too, of which Path.rename says nothing
        sync_folder(place.parent)


def move_set_into_place(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Move files that belong together, each to its target; after an error the older ones are there as before.

    Args:
        pairs: What was made and where it goes; what is made lies in a ``scratch_folder`` on the disk of the targets.

    Raises:
        InputError: A file is to be moved to where something else is.
        StorageError: One cannot be moved, or may lack its last bytes because the disk is full.
    """
    moves: list[tuple[Path, Path]] = []
    for source, target in pairs:
        with told(target):
            moves.append((source, _made_ready(source, target)))
    kept: list[tuple[Path, Path | None]] = []
    try:
        for source, place in moves:
            with told(place):
                kept.append((place, _second_name(place, source) if place.exists() else None))
                source.replace(place)
    except BaseException:
        # Parts of two sets would pass for one.
        for place, older in kept:
            with contextlib.suppress(OSError):
                if older is None:
                    place.unlink(missing_ok=True)
                else:
                    older.replace(place)
        raise
    for folder in {place.parent for _, place in moves}:
        with told(folder):
            sync_folder(folder)


def _made_ready(source: Path, target: Path) -> Path:
    """Put a file on disk, with the permissions of what it replaces; return the place that it goes to."""
    place = _true_place(target)
    older = _older(target, place)
    make_sure(source)
    if older is not None:
        _keep_access(source, older)
    return place


def _second_name(older: Path, beside: Path) -> Path:
    """Keep an older file under a second name, without a copy where the file system can."""
    kept = beside.with_name(f"{beside.name}.older")
    try:
        os.link(older, kept)
    except OSError:
        shutil.copy2(older, kept)
    return kept


def _true_place(path: Path) -> Path:
    """Return where a path leads to through links, so that links stay."""
    if "\0" in str(path):
        raise InputError("path", expected="a name of a file", got=repr(str(path))[:80])
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return real


def _older(given: Path, target: Path) -> os.stat_result | None:
    """Return what the system says of an older file; None where there is none."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        got = "a folder" if stat.S_ISDIR(found.st_mode) else "something else"
        raise InputError(f"{given}", expected="a file to write", got=got)
    return found


def _keep_access(temporary: Path, older: os.stat_result) -> None:
    """Give a new file the owner, where that is allowed, and the permissions of the older one."""
    made = temporary.stat()
    if sys.platform != "win32" and (made.st_uid, made.st_gid) != (older.st_uid, older.st_gid):
        with contextlib.suppress(OSError):
            os.chown(temporary, older.st_uid, older.st_gid)
    temporary.chmod(stat.S_IMODE(older.st_mode))
