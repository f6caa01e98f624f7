"""Files of a folder or of object storage, by one kind of address: a path, or a URL such as ``s3://bucket/store``.

Object storage is read through fsspec, which torch brings; each kind has a package of its own (s3fs for ``s3://``).
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from bedside.core.errors import DependencyError, FormatError

Address = Path | str
"""A folder on this machine, or a URL as text."""
INSTALL = "for s3:// run: pip install 'bedside[s3]'"
"""What to do where storage cannot be read for want of a package."""
CLIENTS = {"aiobotocore", "aiohttp", "botocore", "fsspec", "s3fs"}
"""Packages whose errors say that object storage cannot be read: not all of them are ``OSError``."""


def as_address(text: str | Path) -> Address:
    """Return what a user wrote as an address: text with ``://`` stays text, all else is a path."""
    return text.rstrip("/") if isinstance(text, str) and "://" in text else Path(text)


def below(folder: Path, text: str) -> Address:
    """Return what a table in ``folder`` means by ``text``: a URL, or a path that is relative to the table."""
    return as_address(text) if "://" in text else folder / text


@contextmanager
def fetched(address: Address) -> Iterator[Path]:
    """Yield where a file or folder lies on this machine: what lies elsewhere is a copy, for as long as the block lasts.

    Raises:
        FormatError: It cannot be read.
        DependencyError: The package for this kind of storage is not installed.
    """
    if isinstance(address, Path):
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="bedside-fetched-") as folder:
        copy = Path(folder, address_name(address))
        with _translated(address):
            system, path = _system(address)
            if system.isdir(path):
                for name in system.find(path):
                    to = copy / posixpath.relpath(name, path)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    system.get_file(name, str(to))
            else:
                system.get_file(path, str(copy))
        yield copy


def address_name(address: Address) -> str:
    """Return the last part of an address, a name without folders."""
    return address.name if isinstance(address, Path) else posixpath.basename(address) or "image"


def remote_files(address: str) -> list[tuple[str, int, str]]:
    """Return the files below a URL, each with its path from there, its bytes and what changes when it does.

    Returns:
        One with the path "." where the URL is a file; none where nothing is there.

    Raises:
        FormatError: The storage cannot be read.
        DependencyError: The package for this kind of storage is not installed.
    """
    with _translated(address):
        system, path = _system(address)
        # Another run of this process may have seen what was there before.
        system.invalidate_cache()
        if not system.exists(path):
            return []
        found = system.find(path, detail=True)
    marks = ("ETag", "etag", "mtime", "LastModified", "created")
    return sorted(
        (posixpath.relpath(name, path), int(of["size"] or 0), str(next((of[m] for m in marks if m in of), "")))
        for name, of in found.items()
    )


def read_file(address: Address, name: str) -> bytes:
    """Return the content of the file ``name`` below an address.

    Raises:
        FormatError: It cannot be read.
        DependencyError: The package for this kind of storage is not installed.
    """
    with open_file(address, name) as file:
        return file.read()


@contextmanager
def open_file(address: Address, name: str) -> Iterator[IO[bytes]]:
    """Yield the file ``name`` below an address, of which only what is read is fetched.

    Raises:
        FormatError: It cannot be read.
        DependencyError: The package for this kind of storage is not installed.
    """
    with _translated(f"{address}/{name}"), _opened(address, name) as file:
        yield file


def _opened(address: Address, name: str) -> Any:
    if isinstance(address, Path):
        return (address / name).open("rb")
    system, path = _system(address)
    return system.open(f"{path}/{name}", "rb")


def _system(address: str) -> tuple[Any, str]:
    """Return the storage of a URL and the path in it."""
    try:
        import fsspec
    except ImportError as error:
        raise DependencyError(f"{address} needs fsspec", fix=INSTALL) from error
    try:
        # Asked for each time: connections do not outlive the fork of a worker. fsspec keeps one a process itself.
        return cast(tuple[Any, str], fsspec.core.url_to_fs(address))
    except (ImportError, ValueError) as error:
        raise DependencyError(
            f"{address}", expected="a kind of storage that can be read", got=_line(error), fix=INSTALL
        ) from error


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in CLIENTS:
            raise
        raise FormatError(what, expected="a readable file", got=_line(error)) from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
