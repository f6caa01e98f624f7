"""Where Bedside keeps what is the user's: weights, the workspace, compiled models; as each system has it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

NAME = "bedside"


def data_folder() -> Path:
    """Return folder of files that the user brought in, as weights: ``$XDG_DATA_HOME/bedside``, or the system's own
    place.
    """
    return _folder("XDG_DATA_HOME", "user_data_path", ".local/share")


def state_folder() -> Path:
    """Return folder of the user's work, as the workspace: ``$XDG_STATE_HOME/bedside``, or the system's own place."""
    return _folder("XDG_STATE_HOME", "user_state_path", ".local/state")


def cache_folder() -> Path:
    """Folder of what can be made again: ``$XDG_CACHE_HOME/bedside``, or the system's own place."""
    return _folder("XDG_CACHE_HOME", "user_cache_path", ".cache")


def _folder(variable: str, kind: str, before: str) -> Path:
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen) / NAME
    # Takes some milliseconds, which those who name a folder need not wait for.
    import platformdirs

    usual: Path = getattr(platformdirs, kind)(NAME, appauthor=False)
    return moved_once(Path.home() / before / NAME, usual)


def moved_once(old: Path, new: Path) -> Path:
    """Return the folder ``new``, after what version 0.1 kept in ``old`` was moved there.

    Version 0.1 used Linux's folders on every system. Where the move is not possible the old folder stays in use.

    Args:
        old: Folder of version 0.1.
        new: Folder to use from now on.
    """
    if old == new or new.exists() or not old.is_dir():
        return new
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(old, new)
    except OSError:
        return old
    # A folder that holds nothing else would be left behind.
    with contextlib.suppress(OSError):
        old.parent.rmdir()
    return new
