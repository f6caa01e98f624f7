"""Writing files so that an interruption leaves the old one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path`` that replaces it when the block ends without an error.

    The temporary name keeps every suffix of ``path``, because writers choose the format by it. The file is
    flushed to disk before the rename. After an error nothing is left behind and an older file is untouched.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    stem = target.name.split(".")[0]
    handle, name = tempfile.mkstemp(prefix=f".{stem}.", suffix="".join(target.suffixes), dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files private; a result should get the permissions any new file gets.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, replacing an older file only once all of it is on disk."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
