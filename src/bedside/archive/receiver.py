"""A small C-STORE receiver: what archives and scanners send here lands in folders, one for each series."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bedside.archive.hush import hushed
from bedside.archive.places import SeriesFolder
from bedside.archive.syntaxes import all_classes, stored_syntaxes
from bedside.core.errors import InputError

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
IDLE_S = 60.0
"""Seconds after which a connection on which nothing comes is ended."""
MOST_CONNECTIONS = 8


class Receiver:
    """Listens for C-STORE and C-ECHO while it is entered.

    Args:
        handle: Takes the event of an arriving instance and returns the status that the sender is told.
        title: AE title of this machine.
        host: Address to listen on.
        port: 0 for any that is free.
        senders: AE titles that may send; empty for all.
        released: Called when a sender has closed its connection.

    Raises:
        InputError: The port cannot be listened on.
    """

    def __init__(
        self,
        handle: Callable[[Any], int],
        title: str = "BEDSIDE",
        *,
        host: str = "127.0.0.1",
        port: int = 11112,
        senders: Sequence[str] = (),
        released: Callable[[], None] | None = None,
    ) -> None:
        self._handle = handle
        self._title = title
        self._place = (host, port)
        self._senders = list(senders)
        self._released = released
        self._server: Any = None
        self._hush = hushed()

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Receiver:
        from pynetdicom import AE, evt

        entity = AE(ae_title=self._title)
        entity.maximum_associations = MOST_CONNECTIONS
        entity.network_timeout = IDLE_S
        entity.require_calling_aet = self._senders
        # A sender that means another receiver is told so.
        entity.require_called_aet = True
        entity.add_supported_context("1.2.840.10008.1.1")
        for kind in all_classes():
            entity.add_supported_context(kind, list(stored_syntaxes()))
        handlers: list[Any] = [(evt.EVT_C_STORE, self._handle)]
        if self._released is not None:
            ended = self._released
            handlers += [(evt.EVT_RELEASED, lambda _: ended()), (evt.EVT_ABORTED, lambda _: ended())]
        self._hush.__enter__()
        try:
            self._server = entity.start_server(self._place, block=False, evt_handlers=handlers)
        except OSError as error:
            self._hush.__exit__(None, None, None)
            host, port = self._place
            raise InputError(
                f"listening on {host}:{port}", expected="a port that is free", got=error.strerror
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._hush.__exit__(kind, error, trace)


@dataclass(frozen=True)
class Arrival:
    """A series of which instances have come.

    Attributes:
        folder: Where they lie.
        instances: How many have come since it was last told of.
    """

    folder: Path
    instances: int


class Inbox:
    """Keeps arriving instances in folders, one for each series.

    Args:
        root: Folder for the series.
        tell: Called with each series of which something came, when a sender has closed its connection.
        trouble: Called with one line where an instance cannot be kept.
    """

    def __init__(self, root: Path, tell: Callable[[Arrival], None], trouble: Callable[[str], None]) -> None:
        self._root = root
        self._tell = tell
        self._trouble = trouble
        self._lock = threading.Lock()
        self._folders: dict[str, SeriesFolder] = {}
        self._new: dict[str, int] = {}

    def handle(self, event: Any) -> int:
        """Keep one instance; returns the status that the sender is told."""
        try:
            dataset = event.dataset
            series, uid = str(dataset.SeriesInstanceUID), str(event.request.AffectedSOPInstanceUID)
            modality, number = (str(dataset.get(k) or "") for k in ("Modality", "SeriesNumber"))
            content = event.encoded_dataset()
            if not series or not uid:
                raise ValueError("no UID")
        # Whatever a stranger sends: it is told so, and the receiver goes on.
        except Exception:
            self._trouble("an instance that cannot be read was not taken")
            return CANNOT_UNDERSTAND
        try:
            with self._lock:
                if series not in self._folders:
                    self._folders[series] = SeriesFolder(self._root, series, modality, number)
                self._folders[series].keep(uid, content)
                self._new[series] = self._new.get(series, 0) + 1
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            self._trouble(f"an instance was not taken: {'the disk is full' if full else error.strerror}")
            return OUT_OF_RESOURCES
        return SUCCESS

    def released(self) -> None:
        """Tell of what has come since the last time."""
        with self._lock:
            new, self._new = self._new, {}
            arrivals = [Arrival(self._folders[series].path, count) for series, count in new.items()]
        for arrival in arrivals:
            self._tell(arrival)
