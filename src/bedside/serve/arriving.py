"""Images that clients of other programs send: kept while they are looked at, and for good once they are accepted."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile

from bedside.core.files import scratch_folder
from bedside.serve.places import keep_upload
from bedside.serve.routes.sent import receive, sent_file

if TYPE_CHECKING:
    from bedside.serve.service import Service


@dataclass
class _Arrival:
    """What is looked at.

    Attributes:
        fresh: Whether nothing of the same content was there before.
        requests: How many requests look at it.
        stays: Whether one of them has accepted it.
    """

    fresh: bool
    requests: int = 0
    stays: bool = False


class Arrivals:
    """The folders of what is looked at. May be called from several threads.

    Args:
        folder: Where what is sent is kept, each in a folder named by its content.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._under_way: dict[Path, _Arrival] = {}

    def keep(self, files: Sequence[UploadFile]) -> Path:
        """Keep what was sent, one file or the files of a DICOM series; returns its folder.

        Raises:
            BedsideError: Its names cannot be used, or there is no room.
        """
        with scratch_folder(self._folder) as scratch:
            receive(files, scratch / "files")
            with self._guard:
                before = set(self._folder.iterdir())
                kept = keep_upload(scratch / "files", self._folder)
                arrival = self._under_way.setdefault(kept, _Arrival(kept not in before))
                arrival.requests += 1
        return kept

    def settle(self, kept: Path, accepted: bool) -> bool:
        """Say what became of what was kept; what nobody accepted, and is of no older request, is removed.

        Returns:
            Whether it was removed.
        """
        with self._guard:
            arrival = self._under_way[kept]
            arrival.stays = arrival.stays or accepted
            arrival.requests -= 1
            if arrival.requests:
                return False
            del self._under_way[kept]
            if arrival.stays or not arrival.fresh:
                return False
            shutil.rmtree(kept, ignore_errors=True)
            return True


@asynccontextmanager
async def arriving(service: Service, files: Sequence[UploadFile]) -> AsyncIterator[Path]:
    """Keep an image that was sent, and yield where it is; neither file nor line stays if the block raises.

    Raises:
        FormatError: It is several files, and no series.
    """
    kept = await service.hub.call(service.arrivals.keep, files)
    accepted = False
    try:
        yield await service.hub.call(sent_file, kept)
        accepted = True
    finally:
        if service.arrivals.settle(kept, accepted):
            service.forget(kept)
