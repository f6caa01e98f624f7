"""``bedside ui``: the page on which images are opened, pointed at, corrected and saved, in the browser."""

from __future__ import annotations

import sys
import threading
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from bedside.cli.serving import TimeLimit


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
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Where programs find the token; it is made where missing."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the address and the token as a line of JSON.")] = False,
    time_limit: TimeLimit = 600.0,
) -> None:
    """Open images in the browser, point at objects, correct and save them.

    The server listens on this machine only. Every prompt is kept in the workspace at once; Ctrl+C stops the server.
    Programs use it by bedside.client in Python, or by its REST interface, which /api/openapi.json describes.
    """
    from bedside.cli.serving import check_places, serve_until_stopped
    from bedside.serve.server import kept_token, listen

    places = check_places(paths, model)
    token = None if token_file is None else kept_token(token_file)
    address = listen(port, host)
    address.token = token or address.token

    def open_page() -> None:
        if browser:
            threading.Thread(target=_open_browser, args=(address.opened_url,), daemon=True).start()

    told = [f"Bedside is at {address.opened_url}"]
    if json:
        told = [dumps({"url": address.url, "opened_url": address.opened_url, "token": address.token})]
    serve_until_stopped(places, model, workspace, address, told, begun=open_page, limit=time_limit, quiet=json)


def _open_browser(address: str) -> None:
    import webbrowser

    try:
        webbrowser.open(address)
    except webbrowser.Error:
        print("bedside: no browser could be opened; open the address yourself", file=sys.stderr)
