"""Copies of images that the server made beside the workspace, and when they are removed again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from bedside.session.workspace import Workspace

UPLOADS, UNPACKED = "uploads", "unpacked"
"""Folders beside the workspace: what browsers sent, and the files of zips."""
KEPT_DAYS = 7
"""Days for which a copy that nobody worked on can be opened again."""


def remove_unneeded(workspace: Workspace, folder: Path) -> None:
    """Remove the copies that the workspace does not need; nothing may be open yet.

    What a browser sent is kept while its image has objects or is marked as done, because the work cannot be shown
    without it, and otherwise for ``KEPT_DAYS`` days after it was opened last. Its line goes with it. What was unpacked
    can be unpacked again.

    Args:
        workspace: Says what was worked on.
        folder: Where the copies are.
    """
    remove_unpacked(folder)
    uploads = folder / UPLOADS
    if not uploads.is_dir():
        return
    for copy in sorted(uploads.iterdir()):
        if not workspace.needs(copy, time.time() - KEPT_DAYS * 24 * 3600):
            shutil.rmtree(copy, ignore_errors=True)
            workspace.forget(copy)


def remove_unpacked(folder: Path) -> None:
    """Remove what was unpacked; what cannot be removed, because a system holds open files, is at the next start."""
    shutil.rmtree(folder / UNPACKED, ignore_errors=True)
