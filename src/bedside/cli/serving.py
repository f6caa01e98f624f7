"""What the verbs that start a server share: checks before the start, the workspace, and the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.core.errors import FormatError

if TYPE_CHECKING:
    from bedside.serve.app import Clients
    from bedside.serve.pacs import PacsConfig
    from bedside.serve.server import Address
    from bedside.serve.service import Service


TimeLimit = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0, help="Time that an answer may take, looked at between passes; 0 for any."),
]


def check_places(paths: Sequence[Path] | None, model: str | None) -> tuple[Path, ...]:
    """Return the places of a worklist.

    Raises:
        FormatError: There is nothing at one of them.
        InputError: No model has the name.
    """
    places = tuple(paths or ())
    for path in places:
        if not path.exists():
            raise FormatError(f"{path}", expected="an existing file or folder", got="nothing there")
    if model is not None:
        from bedside.weights.models import model_card

        model_card(model)
    return places


def serve_until_stopped(
    places: tuple[Path, ...],
    model: str | None,
    workspace: Path | None,
    address: Address,
    told: Sequence[str],
    clients: Clients | None = None,
    begun: Callable[[], None] = lambda: None,
    *,
    limit: float,
    quiet: bool = False,
    pacs: PacsConfig | None = None,
) -> None:
    """Serve until the process is told to stop, and end it.

    Args:
        places: The worklist.
        model: Answers where none was chosen for an image; None for the bundled ones.
        workspace: Where the work is kept; None for the user's own folder.
        address: Where to serve.
        told: Lines for the user, once nothing hinders the start.
        clients: What programs other than the page may do; None for none.
        begun: Called before the server runs.
        limit: Seconds that an answer may take; 0 for any.
        quiet: Whether nothing but ``told`` is printed to stdout.
        pacs: The PACS that the page shows; None for none.

    Raises:
        InputError: The workspace is in use.
    """
    from bedside.serve.page import MISSING_HINT, is_built
    from bedside.serve.server import run

    # Opened before the address is told, so that a workspace in use is an error of the command.
    from bedside.session.workspace_file import WorkspaceFile

    kept = WorkspaceFile(workspace)
    kept.announce(address.url)
    for line in told:
        print(line, flush=True)
    if not quiet:
        print(f"The work is kept in {kept.path}. Ctrl+C stops the server.", flush=True)
    if not is_built() and (clients is None or not clients.beyond):
        print(f"bedside: {MISSING_HINT}", file=sys.stderr, flush=True)

    def make() -> Service:
        from bedside.serve.service import Service, ServiceConfig
        from bedside.session.workspace import Workspace

        return Service(Workspace(kept), ServiceConfig(places, model, limit=limit or None, pacs=pacs))

    begun()
    run(make, address, clients)
    print("bedside: stopped; the work is in the workspace", file=sys.stderr)
    # The work is on disk. Waiting at exit for a prediction under way, or for a runtime to take itself apart, is not.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
