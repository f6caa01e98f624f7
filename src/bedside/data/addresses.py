"""Files of a folder or of object storage, by one kind of address: a path, or a URL such as ``s3://bucket/store``.

Object storage is read through fsspec, which torch brings; each kind has a package of its own (s3fs for ``s3://``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from bedside.core.errors import DependencyError, FormatError

Address = Path | str
"""A folder on this machine, or a URL as text."""
CLIENTS = {"aiobotocore", "aiohttp", "botocore", "fsspec", "s3fs"}
"""Packages whose errors say that object storage cannot be read: not all of them are ``OSError``."""


def as_address(text: str | Path) -> Address:
    """Return what a user wrote as an address: text with ``://`` stays text, all else is a path."""
    return text.rstrip("/") if isinstance(text, str) and "://" in text else Path(text)


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
    try:
        with _opened(address, name) as file:
            yield file
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in CLIENTS:
            raise
        raise FormatError(f"{address}/{name}", expected="a readable file", got=_line(error)) from error


def exists(address: Address, name: str) -> bool:
    """Return whether an address holds the file ``name``; what cannot be reached holds nothing."""
    try:
        with open_file(address, name):
            return True
    except FormatError:
        return False


def _opened(address: Address, name: str) -> Any:
    if isinstance(address, Path):
        return (address / name).open("rb")
    try:
        import fsspec
    except ImportError as error:
        raise DependencyError(f"{address} needs fsspec", fix="install it with: pip install fsspec") from error
    try:
        # Opened again each time: connections do not outlive the fork of a worker. fsspec keeps one a process itself.
        return cast(Any, fsspec.open(f"{address}/{name}", "rb"))
    except (ImportError, ValueError) as error:
        raise DependencyError(
            f"{address}", expected="a kind of storage that can be read", got=_line(error), fix="install its package"
        ) from error


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
