"""``bedside export``: what was annotated in a workspace, in the layouts of other programs and as a table."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.core.errors import BedsideError, FormatError, InputError

if TYPE_CHECKING:
    from bedside.session.workspace import Workspace
    from bedside.worklist.export import Outcome
    from bedside.worklist.outlines import Outline

WorkspaceArgument = Annotated[
    Path | None, typer.Argument(metavar="WORKSPACE", help="File of 'bedside ui'; by default in the user's own folder.")
]
FolderOption = Annotated[Path | None, typer.Option("--folder", metavar="DIR", help="Only images in this folder.")]
DoneOption = Annotated[bool, typer.Option("--done", help="Only images that are marked as done.")]
NameOption = Annotated[str, typer.Option("--name", help="Of the data set, where there is one.")]


def _layouts() -> str:
    return (
        "\b\nLayouts:\n"
        "  beside: masks with lists of their labels, without -o beside each image\n"
        "  bids: derivatives as BIDS has them, masks with tables of their labels\n"
        "  nnunet: raw folder of nnU-Net (version 2), with the images\n"
        "  monai: datalist.json of MONAI, with the images"
    )


SETTINGS = {"epilog": _layouts()}


def export(
    workspace: WorkspaceArgument = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder to write to; made where missing.")
    ] = None,
    layout: Annotated[str, typer.Option("--layout", help="How it is laid out, see below.")] = "beside",
    statistics: Annotated[
        Path | None, typer.Option("--statistics", metavar="FILE.csv", help="Table of what the objects measure.")
    ] = None,
    folder: FolderOption = None,
    done: DoneOption = False,
    name: NameOption = "annotated",
    suffix: Annotated[
        str | None, typer.Option(metavar=".EXT", help="Format of masks (beside): .seg.nrrd, .dcm, ...")
    ] = None,
) -> int:
    """Write the masks of a workspace, each with the names and values of its objects, and a table of what they measure.

    The same work gives the same files; what an earlier export left and no longer belongs to it is removed, other files
    are left alone. An image that fails costs its own mask only: a line says why, and the exit status is 1.

    With --statistics alone, only the table is written.
    """
    from bedside.worklist.export import export as write

    if layout != "beside" and output is None:
        raise InputError(f"--layout {layout}", expected="a folder to write to", got="none", fix="name one with -o")
    if suffix is not None and not suffix.startswith("."):
        raise InputError("--suffix", expected="a suffix with its dot, as .nii.gz", got=f"'{suffix}'")
    with opened_workspace(workspace) as work:
        found = chosen(work, folder, done, apart=output is not None)
        outcome = write(
            work, found, layout=layout, folder=output, statistics=statistics, name=name, suffix=suffix
        )  # fmt: skip
    where = [str(output)] if output is not None else []
    if output is None and (statistics is None or suffix is not None):
        where = ["the folders of the images"]
    where += [str(statistics)] if statistics is not None else []
    return tell(outcome, f"in {' and '.join(where)}")


@contextmanager
def opened_workspace(path: Path | None) -> Iterator[Workspace]:
    """Yield a workspace that exists, which nobody else has open.

    Raises:
        InputError: There is none, or another process has it open.
        FormatError: The file is no workspace.
    """
    from bedside.session.workspace import Workspace
    from bedside.session.workspace_file import ANOTHER, check_workspace, default_workspace

    place = path or default_workspace()
    try:
        check_workspace(place)
        work = Workspace(place)
        try:
            yield work
        finally:
            work.close()
    except BedsideError as error:
        if ANOTHER not in str(error):
            raise
        # The workspace is an argument here.
        raise FormatError(str(error).replace(ANOTHER, ANOTHER.removesuffix(" with --workspace"))) from error


def chosen(workspace: Workspace, folder: Path | None, done: bool, *, apart: bool = True) -> list[Outline]:
    """Return the images with objects that the options leave.

    Raises:
        InputError: There are none; says which option left none of how many.
    """
    from bedside.worklist.outlines import outlines

    found = outlines(workspace, folder=folder, done=done, apart=apart)
    if found:
        return found
    count = len(workspace.annotated())
    if folder is not None and count and not folder.is_dir():
        raise InputError(f"--folder {folder}", expected="a folder with images of the workspace", got="no folder there")
    kept = [f"in {folder}"] if folder is not None else []
    kept += ["that is marked as done"] if done else []
    among = f"none of the {count} with objects" if count else "none"
    raise InputError(
        "nothing to take out of the workspace", expected=" ".join(["an image with objects", *kept]), got=among
    )


def tell(outcome: Outcome, where: str) -> int:
    """Print what became of each image; returns the exit status."""
    for note in outcome.notes:
        print(f"bedside: note: {note}", file=sys.stderr)
    for message in outcome.failures.values():
        print(f"bedside: error: {message}", file=sys.stderr)
    failed = f", {len(outcome.failures)} failed" if outcome.failures else ""
    print(f"{outcome.cases} {'image' if outcome.cases == 1 else 'images'} {where}{failed}")
    return 1 if outcome.failures else 0
