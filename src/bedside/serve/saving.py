"""How the objects of an image become the bytes of a file that leaves the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bedside.core.errors import InputError
from bedside.core.files import scratch_folder
from bedside.core.labels import OverlapPolicy
from bedside.core.mask import PackedMask
from bedside.io.dicom.uid_map import UidMap
from bedside.io.segmentations import Form, write_segments
from bedside.serve.errors import named_as
from bedside.serve.opened import OpenImage
from bedside.serve.snapshot import Snapshot
from bedside.session.segmentations import segments_of

UID_MAP = "uid-map.json"
"""File beside the workspace with old and new UIDs, as ``--uid-map`` of the commands takes it."""

Drawn = tuple[int, str, str | None, PackedMask]
"""Label, name, colour and mask of an object."""


def drawn_objects(snapshot: Snapshot) -> list[Drawn]:
    """Return the objects of an image.

    Raises:
        InputError: There is none.
    """
    if not snapshot.seen:
        raise InputError("nothing to save", expected="at least one object", got="none", fix="begin with a prompt")
    return [(s.info.label, s.info.name, s.info.colour, s.mask) for s in snapshot.seen.values()]


@dataclass(frozen=True)
class Writing:
    """How objects of an image become the bytes of a file.

    Attributes:
        opened: The image.
        form: A file of a format, or a DICOM object.
        suffix: Of the file's name, without its first dot.
        volume: Volume of its series that the image holds.
        folder: Where files lie until they are sent: beside the workspace and not in the system's folder for temporary
            files, which others may read.
        uids: Where given, a DICOM object says nothing of the patient and has new UIDs.
    """

    opened: OpenImage
    form: Form
    suffix: str
    volume: int | None
    folder: Path
    uids: KeptUids | None = None

    def to(self, path: Path, objects: Sequence[Drawn], policy: OverlapPolicy = "keep") -> tuple[str, ...]:
        """Write the file, and return what to know of it."""
        found = segments_of(list(objects), self.opened.image, self.opened.model)
        if self.uids is None:
            return write_segments(path, found, self.opened.image, form=self.form, policy=policy, volume=self.volume)
        with self.uids.opened() as uids:
            return write_segments(
                path, found, self.opened.image, form=self.form, policy=policy, volume=self.volume, uids=uids
            )

    def file(self, objects: Sequence[Drawn], policy: OverlapPolicy) -> tuple[bytes, tuple[str, ...]]:
        """Return the file, and what to know of it."""
        with scratch_folder(self.folder) as scratch:
            path = scratch / f"mask.{self.suffix}"
            with named_as(path, path.name):
                notes = self.to(path, objects, policy)
            return path.read_bytes(), notes


class KeptUids:
    """The map of UIDs of a workspace, in a file that its owner alone may read. Any thread may ask.

    Args:
        path: The file; made when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()

    @contextmanager
    def opened(self) -> Iterator[UidMap]:
        """Yield the map; what it learns in the block is on the disk afterwards.

        Raises:
            InputError: Others may read the file.
            FormatError: It is no map.
        """
        with self._guard:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            uids = UidMap.load(self._path)
            # Its key is what all new UIDs follow from: on the disk before a file is that has one.
            uids.save(self._path)
            yield uids
            uids.save(self._path)
