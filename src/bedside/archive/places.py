"""Where instances lie on this machine: names without anything of the patient, and what is complete."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from bedside.core.files import append_text, atomic_path

LEDGER = ".received.jsonl"
"""Lines that say how long each complete file of the folder is; hidden, so that readers of images pass it over."""
STALE_S = 3600.0
"""Age from which a file half written is what a process left that is gone."""


class SeriesFolder:
    """The files of one series.

    A file appears under its name when it is complete, and the ledger says its length then. Names are digests of UIDs:
    UIDs may hold dates and numbers of patients.

    Args:
        root: Folder for all series.
        uid: SeriesInstanceUID.
        modality: For the name.
        number: SeriesNumber, for the name.

    Attributes:
        path: The folder.
    """

    def __init__(self, root: Path, uid: str, modality: str = "", number: str = "") -> None:
        key = digest(uid, 5)
        kind = re.sub(r"[^A-Z0-9]", "", modality.upper())[:16] or "OT"
        count = re.sub(r"[^0-9]", "", number)[:6].zfill(3)
        known = sorted(p for p in root.glob(f"*-{key}") if p.is_dir()) if root.is_dir() else []
        self.path = known[0] if known else root / f"{kind}-{count}-{key}"
        self._sizes = self._read_ledger()

    def file_of(self, uid: str) -> Path:
        """Return the file of an instance, whether it is there or not."""
        return self.path / f"{digest(uid, 10)}.dcm"

    def holds(self, uid: str) -> bool:
        """Whether the instance is there and complete."""
        file = self.file_of(uid)
        size = self._sizes.get(file.name)
        try:
            return size is not None and file.stat().st_size == size
        except OSError:
            return False

    def keep(self, uid: str, content: bytes) -> Path:
        """Write the file of an instance beside its place, and put it there.

        Raises:
            OSError: The disk is full, or the folder cannot be written to. No file is torn then.
        """
        target = self.file_of(uid)
        # What a hospital keeps is no other user's business.
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        with atomic_path(target) as temporary:
            temporary.write_bytes(content)
        # The line's end comes first: a line that a killed process cut off does not spoil the next.
        append_text(self.path / LEDGER, "\n" + json.dumps({"file": target.name, "bytes": len(content)}))
        self._sizes[target.name] = len(content)
        return target

    def tidy(self) -> None:
        """Remove what a process that was killed left half written."""
        for path in self._half_written():
            path.unlink(missing_ok=True)

    def _half_written(self) -> Iterable[Path]:
        if not self.path.is_dir():
            return
        for path in self.path.glob(".*.dcm"):
            if re.fullmatch(r"\.[0-9a-f]{20}\..+\.dcm", path.name) and time.time() - path.stat().st_mtime > STALE_S:
                yield path

    def _read_ledger(self) -> dict[str, int]:
        sizes: dict[str, int] = {}
        try:
            lines = (self.path / LEDGER).read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return sizes
        for line in lines:
            # The last line of a process that was killed may be cut off.
            try:
                entry = json.loads(line)
                sizes[str(entry["file"])] = int(entry["bytes"])
            except (ValueError, KeyError, TypeError):
                continue
        return sizes


def digest(uid: str, size: int) -> str:
    """Return a name for a UID: ``2 * size`` hexadecimal digits."""
    return blake2b(uid.encode(), digest_size=size).hexdigest()
