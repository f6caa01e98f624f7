"""Temporary files and folders beside what is written: their names, whose they are, their removal after a kill."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SCRATCH = re.compile(r"\.bedside-(\d+)-[0-9a-f]{8}(\..*)?", re.DOTALL)
_LONGEST_SUFFIX = 100
"""Bytes of the suffixes that a temporary name keeps; file systems allow 255 for a whole name."""
_OLD = 24 * 3600
"""Seconds after which a temporary file counts as left behind where the system cannot say whether its process lives."""

_guard = threading.Lock()
_live: dict[Path, int | None] = {}
"""What this process is writing, each with the descriptor that holds a lock on it, by which others see that it lives."""
_swept: set[Path] = set()


def claim_file(target: Path, older: os.stat_result | None) -> Path:
    """Make the temporary file beside ``target``, never with more permissions than the result will have.

    Args:
        target: What will be replaced; the temporary name keeps its suffixes, because writers choose the format by them.
        older: What the system says of the older file; None where there is none.
    """
    mode = 0o666 if older is None else (stat.S_IMODE(older.st_mode) & 0o666) | 0o600
    # The system applies the umask itself; asking for it would change it for all threads.
    return _claimed(
        claim_name(target.parent, _suffixes(target)),
        lambda path: os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode),
    )


def claim_folder(parent: Path) -> Path:
    """Make a temporary folder inside ``parent``, private to the user."""

    def make(path: Path) -> int | None:
        path.mkdir(mode=0o700)
        return None if sys.platform == "win32" else os.open(path, os.O_RDONLY)

    return _claimed(claim_name(parent), make)


def claim_name(folder: Path, suffix: str = "") -> Path:
    """Return the name of a temporary file or folder of this process, which its own sweeps leave alone."""
    temporary = folder / f".bedside-{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    with _guard:
        _live[temporary] = None
    return temporary


def _claimed(temporary: Path, make: Callable[[Path], int | None]) -> Path:
    """Make what a name was claimed for, and hold a lock on it for as long as the name is claimed."""
    try:
        descriptor = make(temporary)
    except BaseException:
        with _guard:
            del _live[temporary]
        raise
    if descriptor is None:
        return temporary
    if sys.platform == "win32":
        # What is open there cannot be renamed.
        os.close(descriptor)
        return temporary
    _try_lock(descriptor)
    with _guard:
        _live[temporary] = descriptor
    return temporary


def _suffixes(target: Path) -> str:
    """Return the last suffixes of a name, as many as leave room for the rest of a temporary name."""
    kept = ""
    for suffix in reversed(target.suffixes):
        if len(os.fsencode(suffix + kept)) > _LONGEST_SUFFIX:
            break
        kept = suffix + kept
    return kept


@contextmanager
def released(temporary: Path) -> Iterator[None]:
    """Remove a temporary file or folder at the end, whatever happened, and let go of its lock."""
    try:
        yield
    finally:
        _remove(temporary)
        with _guard:
            descriptor = _live.pop(temporary, None)
        if descriptor is not None:
            os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file, a link, or a folder with all in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _try_lock(descriptor: int) -> bool:
    """Say whether nobody else holds the lock on a file, which this process holds from now on."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some file systems have no locks; the number of the process decides alone.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def sweep(folder: Path) -> None:
    """Remove what runs that were killed left in a folder; each process looks once."""
    with _guard:
        if folder in _swept:
            return
        _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _SCRATCH.fullmatch(entry.name)
            if found is not None and not entry.is_symlink():
                _remove_if_left(Path(entry.path), int(found.group(1)))


def _remove_if_left(path: Path, process: int) -> None:
    """Remove a temporary file or folder whose process is no more, and on which nobody holds the lock."""
    with _guard:
        if path in _live:
            return
    if process != os.getpid() and _is_alive(process, path):
        return
    if sys.platform == "win32":
        _remove(path)
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if _try_lock(descriptor):
                _remove(path)
        finally:
            os.close(descriptor)


def _is_alive(process: int, path: Path) -> bool:
    if sys.platform == "win32":
        # There is no harmless signal to ask by.
        return time.time() - path.stat().st_mtime < _OLD
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
