"""From an item of the worklist to an open image: find it, read it, recognise it, take up its work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.core.pyramid import is_pyramid
from bedside.io import read_image
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
        """The image at an item, with the work on it.

        Raises:
            BedsideError: It cannot be read, or its journal cannot be answered.
        """
        seconds: dict[str, float] = {}
        with _timed(seconds, "read"):
            image, size, modified = self._read(item)
        with _timed(seconds, "hash"):
            stamp = self._stamp(item, image, size, modified)
            record = self._workspace.found(item.id, stamp, size, modified)
        with _timed(seconds, "look"):
            facts = facts_of(image)
        with _timed(seconds, "journal"):
            opened = OpenImage(record, item.id, image, facts, self._workspace, self._engines, self._default)
        opened.seconds = seconds
        return opened

    def _read(self, item: ItemRecord) -> tuple[Image, int | None, int | None]:
        """The image, and size and time of its file; a folder has neither."""
        path = Path(item.path)
        try:
            if is_archive(path):
                path = unpack(path, self._folder)
            about = path.stat() if path.is_file() else None
        except OSError as error:
            raise FormatError(f"{item.path} cannot be opened", got=error.strerror) from error
        image = read_image(path, series=item.series, volume=item.volume)
        if is_pyramid(image.array):
            raise InputError(
                f"{item.path}: {' x '.join(map(str, image.shape[::-1]))} pixels",
                expected="an image that the page can show whole",
                fix="use 'bedside segment' or Session, or open a coarser level or a part of it",
            )
        return image, about.st_size if about else None, about.st_mtime_ns if about else None

    def _stamp(self, item: ItemRecord, image: Image, size: int | None, modified: int | None) -> ImageStamp:
        """What identifies the image; hashed only where the file is not the one that was hashed before."""
        known = self._workspace.known_stamp(item.id, size, modified) if size is not None and modified else None
        if known is not None and (known.shape, known.dtype, known.geometry) == (
            image.array.shape,
            image.array.dtype.name,
            image.geometry,
        ):
            return known
        return ImageStamp.of(image)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - began
