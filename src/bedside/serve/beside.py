"""Saving the masks of an image beside it, as ``bedside export`` does."""

from __future__ import annotations

from pathlib import Path

from bedside.core.errors import InputError
from bedside.serve.opened import OpenImage
from bedside.session.workspace import Workspace


def save_beside(workspace: Workspace, opened: OpenImage, path: Path, copies: Path) -> tuple[Path, tuple[str, ...]]:
    """Write the masks of an image, as they are seen now, and the list of their labels beside it.

    Args:
        workspace: Where the work is.
        opened: The image.
        path: Where it lies.
        copies: Folder of what browsers sent and what was fetched; nothing is saved there.

    Returns:
        The folder, and what to know of the files, a sentence each.

    Raises:
        InputError: The image is a copy of the server's own, there are no objects, or a file is in the way that Bedside
            did not write.
        FormatError: The folder cannot be written to.
    """
    # Not needed before somebody saves so.
    from bedside.worklist.entries import Drawn, Entry
    from bedside.worklist.export import write_beside
    from bedside.worklist.outlines import outlines

    if path.is_relative_to(copies):
        raise InputError(
            "saving beside the image",
            expected="an image that was opened by its path",
            got="a copy that the server keeps",
            fix="save it under a place of your own, or store it in the PACS",
        )
    seen = opened.snapshot.seen
    # Names of cases differ within each folder: all of its images are looked at, and one is written.
    known = outlines(workspace, folder=path.absolute().parent, apart=False)
    outline = next((one for one in known if one.record.id == opened.id), None)
    if outline is None or not seen:
        raise InputError("saving beside the image", expected="at least one object", got="none")
    objects = tuple(
        Drawn(o.id, o.label or 0, o.name, o.colour, seen[o.id].mask) for o in outline.objects if o.id in seen
    )
    entry = Entry(outline, opened.image, objects, opened.model)
    return outline.path.parent, write_beside(entry)
