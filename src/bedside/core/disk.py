"""What disks say: their failures as errors of Bedside's, and whether all that was written is there."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.core.errors import BedsideError, StorageError
from bedside.core.scratch import claim_name, released

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WRITING = _FULL | {errno.EIO, errno.EROFS, errno.ENODEV, errno.ENXIO}
"""System errors that tell of the disk which is written to, whoever called the system."""
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.ENOSYS})
_FAILED_STREAM = re.compile(rf"iostream error|\(os error ({'|'.join(str(number) for number in sorted(_WRITING))})\)")
"""What streams of C++ and of Rust say."""
_PROBE_BYTES = 4096


def storage_error(what: str | Path, error: BaseException) -> StorageError | None:
    """Return what a failure says of the disk, as an error of Bedside's; None where it tells of something else.

    Args:
        what: What was to be written.
        error: What a library or the system raised.
    """
    if isinstance(error, StorageError):
        return error
    if not isinstance(error, OSError):
        return None
    # NumPy counts what it could write, and leaves the number of the error out.
    counted = error.errno is None and re.fullmatch(r"\d+ requested and \d+ written", str(error)) is not None
    if not counted and error.errno not in _WRITING:
        return None
    return described(what, error)


def described(what: str | Path, error: OSError) -> StorageError:
    """Return a failure of the system as an error of Bedside's, with what can be done about it."""
    number = error.errno or errno.ENOSPC
    fix = "free some space, or write to another place" if number in _FULL else "write to another place"
    got = (error.strerror if error.errno else os.strerror(number)) or str(error)
    made = StorageError(f"{what} cannot be written", got=got, fix=fix)
    made.errno = number
    return made


@contextmanager
def told(what: str | Path) -> Iterator[None]:
    """Turn the system's errors of a block that only writes into errors of Bedside's; ``what`` is what it writes."""
    try:
        yield
    except BedsideError:
        raise
    except OSError as error:
        raise described(what, error) from error


@contextmanager
def told_of_disk(what: str | Path, temporary: Path) -> Iterator[None]:
    """Turn errors that tell of the disk into errors of Bedside's, and leave others as they are.

    Args:
        what: What the block writes, whatever else it does.
        temporary: The file or folder that it writes to.
    """
    try:
        yield
    except BedsideError:
        raise
    except OSError as error:
        found = storage_error(what, error)
        if found is None:
            raise
        raise found from error
    except Exception as error:
        # Libraries in C++ and Rust have errors of their own for a full disk, and few say that it is one.
        if not _FAILED_STREAM.search(str(error)) and not _is_full(temporary):
            raise
        raise described(what, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from error


def make_sure(path: Path) -> None:
    """Put a file on disk, and reject one that may lack its last bytes because the disk is full.

    Where a library lost its last bytes there was no room for a block, or the file is as long as files may become.
    """
    _sync(path)
    if _at_limit(path.stat().st_size):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    probe = claim_name(path.parent)
    with released(probe), probe.open("xb", buffering=0) as file:
        if (file.write(b"\0" * _PROBE_BYTES) or 0) < _PROBE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_full(path: Path) -> bool:
    """Say whether nothing more can be written where a temporary file or folder is."""
    try:
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        if any(_at_limit(file.stat().st_size) for file in files):
            return True
        return shutil.disk_usage(path.parent).free < _PROBE_BYTES
    except OSError:
        return False


def _at_limit(size: int) -> bool:
    """Say whether a file is as long as this process may make files (``RLIMIT_FSIZE``)."""
    if sys.platform == "win32":
        return False
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return limit != resource.RLIM_INFINITY and size >= limit


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk, where the system can."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # A folder may be written and not be read.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)
