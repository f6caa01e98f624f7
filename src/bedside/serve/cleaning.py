"""Copies of images that the server made beside the workspace, and when they are removed again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from bedside.session.workspace import Workspace

UPLOADS, UNPACKED, FETCHED = "uploads", "unpacked", "fetched"
"""Folders beside the workspace: what browsers sent, the files of zips, and what came from a PACS."""
KEPT_DAYS = 7
"""Days for which a copy that nobody worked on can be opened again."""


def remove_unneeded(workspace: Workspace, folder: Path) -> None:
    """Remove the copies that the workspace does not need; nothing may be open yet.

    What a browser sent is kept while its image has objects or is marked as done, because the work cannot be shown
    without it, and otherwise for ``KEPT_DAYS`` days after it was opened last. Its line goes with it. What was unpacked
    can be unpacked again. What came from a PACS is kept as long, counted from when its last file came where it was not
    opened: a fetch that was stopped goes on there.

    Args:
        workspace: Says what was worked on.
        folder: Where the copies are.
    """
    remove_unpacked(folder)
    since = time.time() - KEPT_DAYS * 24 * 3600
    for copy in _within(folder / UPLOADS):
        if not workspace.needs(copy, since):
            shutil.rmtree(copy, ignore_errors=True)
            workspace.forget(copy)
    for copy in _within(folder / FETCHED):
        if not workspace.needs(copy, since) and copy.stat().st_mtime < since:
            shutil.rmtree(copy, ignore_errors=True)
            workspace.forget(copy)


def _within(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def remove_unpacked(folder: Path) -> None:
    """Remove what was unpacked; what cannot be removed, because a system holds open files, is at the next start."""
    shutil.rmtree(folder / UNPACKED, ignore_errors=True)
