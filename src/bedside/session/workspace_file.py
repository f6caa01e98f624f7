"""The workspace's file: where it lies, its tables and versions, and the lock that keeps a second process out."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bedside.core.disk import told
from bedside.core.errors import BedsideError, FormatError, InputError, StorageError
from bedside.core.paths import state_folder

FILE_VARIABLE = "BEDSIDE_WORKSPACE"
"""Environment variable that names the workspace."""
FILE_NAME = "bedside.workspace.sqlite"
ANOTHER = "name another file with --workspace"
"""What errors advise; a command that takes the workspace as an argument leaves out the option."""
VERSION = 4
"""Version of the tables (``user_version``)."""
APPLICATION = 0x42445344
"""SQLite's ``application_id`` of workspaces: "BDSD"."""

_TABLES = """
CREATE TABLE image (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,              -- content hash of the samples
    geometry TEXT NOT NULL,            -- the grid: equal samples that lie elsewhere are another image
    stamp TEXT NOT NULL,               -- JSON of the session's ImageStamp
    model TEXT,
    policy TEXT NOT NULL DEFAULT 'keep',
    current INTEGER,                   -- the object that prompts go to
    version INTEGER NOT NULL DEFAULT 0,-- counts the changes
    UNIQUE (sha256, geometry)
);
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    series TEXT NOT NULL DEFAULT '',   -- '' where none is chosen
    volume INTEGER NOT NULL DEFAULT -1,-- -1 where none is chosen
    name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'in progress', 'done')),
    image INTEGER REFERENCES image (id),
    bytes INTEGER,                     -- of version 0.1, as the next; no longer written
    modified INTEGER,
    opened REAL,                       -- seconds since 1970
    problem TEXT,
    UNIQUE (path, series, volume)
);
CREATE TABLE object (
    image INTEGER NOT NULL REFERENCES image (id),
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    colour TEXT,
    visible INTEGER NOT NULL DEFAULT 1,
    locked INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,-- its events stay: the journal only grows
    label INTEGER,                     -- its value in label maps
    PRIMARY KEY (image, id)
);
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    image INTEGER NOT NULL,
    object INTEGER NOT NULL,
    body TEXT NOT NULL,                -- JSON of the journal's event
    made REAL NOT NULL,
    FOREIGN KEY (image, object) REFERENCES object (image, id)
);
CREATE INDEX event_of ON event (image, object, seq);
CREATE TABLE mask (                    -- the last answers, so that reopening need not ask again; may be emptied
    image INTEGER NOT NULL,
    object INTEGER NOT NULL,
    made_by TEXT NOT NULL,             -- model, weights and prompts that made it
    region TEXT NOT NULL,
    bits BLOB NOT NULL,
    quality REAL,                      -- DSC that the model estimated
    PRIMARY KEY (image, object)
);
CREATE TRIGGER events_stay BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END;
CREATE TRIGGER events_are_fixed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the journal only grows'); END;
"""

_LABELS = """
ALTER TABLE object ADD COLUMN label INTEGER;
UPDATE object SET label = (
    SELECT count(*) FROM object AS earlier
    WHERE earlier.image = object.image AND NOT earlier.deleted AND earlier.id <= object.id
) WHERE NOT deleted;
"""
"""Labels were the places among the objects that were left, so they become just these."""

_CHANGES = {1: "ALTER TABLE mask ADD COLUMN quality REAL;", 2: _LABELS, 3: ""}
"""What makes the tables of a version those of the next. Those of the fourth are the third's; its events may hold masks
as what they change, which an older program would take for masks.
"""


_OF_THE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says of a disk that is full, read-only or damaged."""


def default_workspace() -> Path:
    """Return ``$BEDSIDE_WORKSPACE``, or a file in the user's folder for state; see ``core.paths``."""
    chosen = os.environ.get(FILE_VARIABLE)
    return Path(chosen) if chosen else state_folder() / FILE_NAME


def check_workspace(path: Path) -> None:
    """Make sure that a file is a workspace before anything is written, be it a lock.

    Raises:
        InputError: There is no file.
        FormatError: It is empty, or of another kind.
    """
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing there"
        raise InputError(f"workspace {path}", expected="a file of 'bedside ui'", got=got)
    _check_header(path.resolve(), new=False)


def _check_header(path: Path, *, new: bool) -> None:
    """Reject a file that does not begin as a workspace does; with ``new``, one without content may become one."""
    if new and not path.is_file():
        return
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
    except OSError as error:
        raise FormatError(f"cannot open the workspace {path}", got=str(error)) from error
    # What a killed process wrote may lie in the log beside the file, its kind as well.
    unsure = new or path.with_name(path.name + "-wal").exists()
    application = int.from_bytes(head[_HEADER - 4 :], "big")
    if head.startswith(_MAGIC) and (unsure or application == APPLICATION):
        return
    if head or not unsure:
        got = (
            "an empty file" if not head else "another program's database" if head.startswith(_MAGIC) else "no database"
        )
        raise FormatError(f"{path}", expected="a workspace of Bedside", got=got, fix=ANOTHER)


_MAGIC, _HEADER = b"SQLite format 3\0", 72
"""How SQLite's files begin, and how many bytes it takes to the end of the application's number."""


class WorkspaceFile:
    """An open workspace's file, locked. Quick to import, so that a command can reject early.

    Args:
        path: The file; made, with its folder, where there is none. By default ``default_workspace()``.

    Attributes:
        path: The file.
        connection: Usable from any thread, by one at a time; every commit is on disk when it returns.

    Raises:
        InputError: Another process has it open.
        FormatError: The file is no workspace, damaged, or of a newer version.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        # Where the file truly lies: through a link it is the same workspace, under the same lock.
        self.path = (Path(path) if path is not None else default_workspace()).resolve()
        if self.path.is_dir():
            raise FormatError(f"workspace {self.path}", expected="a file", got="a folder")
        _check_header(self.path, new=True)
        self._guard = threading.RLock()
        self._lock = WorkspaceLock(self.path)
        try:
            self.connection = _connect(self.path)
        except BaseException:
            self._lock.release()
            raise

    def announce(self, address: str) -> None:
        """Write down where the process that holds the workspace can be found, for whoever comes second."""
        self._lock.tell({"at": address})

    def close(self) -> None:
        """Let go of the file; nothing is left to be written."""
        with self._guard:
            self.connection.close()
            self._lock.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep other threads out while the file is read; everything that reads it does so within.

        Raises:
            FormatError: The file is damaged, or the disk fails.
        """
        with self._guard:
            try:
                yield
            except BedsideError:
                raise
            except (sqlite3.Error, zlib.error, ValueError) as error:
                raise read_error(self.path, error) from error

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Yield all or nothing: a function that executes statements, committed when the block ends.

        Raises:
            FormatError: The disk is full, or the file cannot be written for another reason.
        """

        def run(statement: str, *values: object) -> sqlite3.Cursor:
            return self.connection.execute(statement, values)

        with self._guard:
            try:
                run("BEGIN IMMEDIATE")
                try:
                    yield run
                    run("COMMIT")
                except BaseException:
                    if self.connection.in_transaction:
                        run("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise write_error(self.path, error) from error


def read_error(path: Path, error: Exception) -> FormatError:
    """Return why a workspace cannot be read as an error of Bedside's."""
    return FormatError(f"cannot read the workspace {path}", got=str(error), fix="it is damaged: go back to a copy")


def write_error(path: Path, error: sqlite3.Error) -> FormatError:
    """Return why a workspace cannot be written as an error of Bedside's."""
    # The primary code; the further bits tell which call to the system failed.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_CORRUPT:
        return read_error(path, error)
    if code not in _OF_THE_DISK:
        return FormatError(f"cannot write the workspace {path}", got=str(error))
    return StorageError(
        f"cannot write the workspace {path}",
        got=str(error),
        fix=f"free some space, or {ANOTHER}",
    )


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise FormatError(f"cannot open the workspace {path}", got=str(error)) from error
    try:
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        told = write_error(path, error)
        if isinstance(told, StorageError):
            raise told from error
        raise FormatError(f"{path}", expected="a workspace of Bedside", got=str(error), fix=ANOTHER) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION:
        raise FormatError(f"{path}", expected="a workspace of Bedside", got="another program's database")
    if version > VERSION:
        raise FormatError(
            f"workspace {path}",
            expected=f"version {VERSION}",
            got=version,
            fix=f"a newer Bedside wrote it: update Bedside, or {ANOTHER}",
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if version == 0:
        settings = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {settings} COMMIT;")
    elif version < VERSION:
        changes = " ".join(_CHANGES[number] for number in range(version, VERSION))
        connection.executescript(f"BEGIN IMMEDIATE; {changes} PRAGMA user_version = {VERSION}; COMMIT;")


class WorkspaceLock:
    """A lock beside the workspace that the system lets go of when the process ends, however it ends.

    Args:
        workspace: The file to guard.

    Raises:
        InputError: Another process holds it; the message names that process.
        StorageError: The disk is full.
    """

    def __init__(self, workspace: Path) -> None:
        self._path = workspace.with_name(workspace.name + ".lock")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b", buffering=0)
        except OSError as error:
            raise FormatError(f"cannot open the workspace {workspace}", got=str(error)) from error
        if not _try_lock(self._file):
            holder = self._holder()
            self._file.close()
            raise InputError(
                f"the workspace {workspace} is in use",
                expected="one process at a time",
                got=holder,
                fix=f"use that one, close it, or {ANOTHER}",
            )
        try:
            self.tell({})
        except BaseException:
            self.release()
            raise

    def tell(self, details: dict[str, str]) -> None:
        """Write down who holds the lock, for the message to whoever comes second.

        Raises:
            StorageError: The disk is full; nothing of the work could be kept either.
        """
        text = json.dumps({"process": os.getpid(), **details}).encode()
        with told(self._path):
            self._file.seek(_LOCKED_BYTES)
            self._file.truncate()
            if self._file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def release(self) -> None:
        """Let go of the lock."""
        self._file.close()

    def _holder(self) -> str:
        try:
            self._file.seek(_LOCKED_BYTES)
            details = json.loads(self._file.read(1000))
            return ", ".join(f"{key} {value}" for key, value in details.items())
        except (OSError, ValueError, AttributeError):
            return "another process"


_LOCKED_BYTES = 1
"""Only the first byte is locked, because on Windows nobody else may read what is."""

if sys.platform == "win32":

    def _try_lock(file: IO[bytes]) -> bool:
        import msvcrt

        try:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, _LOCKED_BYTES)
        except OSError:
            return False
        return True

else:

    def _try_lock(file: IO[bytes]) -> bool:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
