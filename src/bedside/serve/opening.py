"""From an item of the worklist to an open image: find it, read it, recognise it, take up its work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.image import Image
from bedside.core.pyramid import is_pyramid
from bedside.io import read_image
from bedside.io.isolated import read_uploaded
from bedside.serve.cleaning import FETCHED, UNPACKED, UPLOADS
from bedside.serve.engines import Engines
from bedside.serve.facts import facts_of
from bedside.serve.opened import OpenImage
from bedside.serve.places import is_archive, unpack
from bedside.session.stamp import ImageStamp
from bedside.session.workspace import ItemRecord, Workspace


class Opener:
    """Opens items of a workspace. May be called from several threads.

    Args:
        workspace: Where the work is.
        engines: The models.
        default_model: Answers where none was chosen for an image; None for the bundled one.
        folder: Where archives are unpacked.
    """

    def __init__(self, workspace: Workspace, engines: Engines, default_model: str | None, folder: Path) -> None:
        self._workspace, self._engines, self._default = workspace, engines, default_model
        self._folder = folder

    def open(self, item: ItemRecord) -> OpenImage:
        """Return the image at an item, with the work on it.

        Raises:
            BedsideError: It cannot be read, or its journal cannot be answered.
        """
        seconds: dict[str, float] = {}
        with _timed(seconds, "read"):
            image = self.read(Path(item.path), item.series, item.volume)
        with _timed(seconds, "hash"):
            # Each time: a file may be replaced by one of equal size and time, and samples may lie in another file.
            record = self._workspace.found(item.id, ImageStamp.of(image))
        with _timed(seconds, "look"):
            facts = facts_of(image)
        with _timed(seconds, "journal"):
            opened = OpenImage(record, item.id, image, facts, self._workspace, self._engines, self._default)
        opened.seconds = seconds
        return opened

    def read(self, path: Path, series: str | None = None, volume: int | None = None) -> Image:
        """Return the image at a place, out of its archive where it lies in one.

        Args:
            path: A file, a folder of DICOM files, or a zip.
            series: Which DICOM series, where there are several.
            volume: Which volume, where there are several.

        Raises:
            BedsideError: It cannot be read.
        """
        named = path
        try:
            path.stat()
            if is_archive(path):
                path = unpack(path, self._folder)
        except FileNotFoundError:
            pass  # What is missing is said by who reads it.
        except BedsideError:
            raise
        except OSError as error:
            raise FormatError(f"{named} cannot be opened", got=error.strerror) from error
        read = read_uploaded if self._is_sent(path) else read_image
        image = read(path, series=series, volume=volume)
        if is_pyramid(image.array):
            raise InputError(
                f"{named}: {' x '.join(map(str, image.shape[::-1]))} pixels",
                expected="an image that the page can show whole",
                fix="use 'bedside segment' or Session, or open a coarser level or a part of it",
            )
        return image

    def _is_sent(self, path: Path) -> bool:
        """Return whether a path is what a browser sent, came out of a zip, or from a PACS."""
        kept, names = self._folder.parent.resolve(), (UPLOADS, UNPACKED, FETCHED, self._folder.name)
        return any(path.resolve().is_relative_to(kept / name) for name in names)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - began
