"""Where an export may write: nowhere that the work or its images lie."""

from __future__ import annotations

from pathlib import Path

from bedside.core.errors import InputError
from bedside.session.workspace import Workspace

TABLE = ".csv"
"""How the name of a table ends; that of no image, mask or workspace does, so that none is replaced by one."""
_BESIDE = ("", "-wal", "-shm", "-journal", ".lock", ".files")
"""What follows the name of a workspace in those of the files and of the folder that belong to it."""


def check_targets(workspace: Workspace, *, folder: Path | None = None, table: Path | None = None) -> None:
    """Make sure, before anything is read, that nothing of the work or its images would be overwritten.

    Args:
        workspace: Where the work is.
        folder: What is written into.
        table: CSV to write.

    Raises:
        InputError: One of them is the workspace or belongs to it, is one of its images, or the table is no CSV.
    """
    own = [workspace.path.with_name(workspace.path.name + ending).resolve() for ending in _BESIDE]
    images = {Path(path).resolve() for path in workspace.paths()}
    for what, target in (("-o", folder), ("--statistics", table)):
        if target is None:
            continue
        # Through a link it is what the link leads to that would be replaced.
        place = target.resolve()
        if any(place == path or place.is_relative_to(path) for path in own):
            raise InputError(
                f"{what} {target}", expected="another place than the workspace", fix="inputs are never overwritten"
            )
        if place in images:
            raise InputError(
                f"{what} {target}", expected="another place than an image", fix="inputs are never overwritten"
            )
    if table is not None and table.resolve().suffix.lower() != TABLE:
        raise InputError(f"--statistics {table}", expected=f"a file that ends in {TABLE}", got=f"'{table.name}'")
