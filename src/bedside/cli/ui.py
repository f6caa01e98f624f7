"""``bedside ui``: the page on which images are opened, pointed at, corrected and saved, in the browser."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.core.errors import FormatError

if TYPE_CHECKING:
    from bedside.serve.service import Service


def ui(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Images, or folders of images for the worklist.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=65535, help="Port; by default 8765, or the next free one.")
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Loopback address to listen on.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model; by default the bundled one.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the work is kept; by default in the user's own folder.")
    ] = None,
) -> None:
    """Open images in the browser, point at objects, correct and save them.

    The server listens on this machine only. Every prompt is kept in the workspace at once; Ctrl+C stops the server.
    """
    from bedside.serve.page import MISSING_HINT, is_built
    from bedside.serve.server import listen, run

    places = tuple(paths or ())
    for path in places:
        if not path.exists():
            raise FormatError(f"{path}", expected="an existing file or folder", got="nothing there")
    if model is not None:
        from bedside.weights.models import model_card

        model_card(model)
    address = listen(port, host)
    # Opened before the address is told, so that a workspace in use is an error of the command.
    from bedside.session.workspace_file import WorkspaceFile

    kept = WorkspaceFile(workspace)
    kept.announce(address.url)
    print(f"Bedside is at {address.opened_url}")
    print(f"The work is kept in {kept.path}. Ctrl+C stops the server.", flush=True)
    if not is_built():
        print(f"bedside: {MISSING_HINT}", file=sys.stderr, flush=True)

    def make() -> Service:
        from bedside.serve.service import Service, ServiceConfig
        from bedside.session.workspace import Workspace

        config = ServiceConfig(places, model) if model is not None else ServiceConfig(places)
        return Service(Workspace(kept), config)

    if browser:
        threading.Thread(target=_open_browser, args=(address.opened_url,), daemon=True).start()
    run(make, address)
    print("bedside: stopped; the work is in the workspace", file=sys.stderr)
    # The work is on disk. Waiting at exit for a prediction under way, or for a runtime to take itself apart, is not.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _open_browser(address: str) -> None:
    import webbrowser

    try:
        webbrowser.open(address)
    except webbrowser.Error:
        print("bedside: no browser could be opened; open the address yourself", file=sys.stderr)
