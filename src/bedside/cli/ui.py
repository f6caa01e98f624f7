"""``bedside ui``: the page on which images are opened, pointed at, corrected and saved, in the browser."""

from __future__ import annotations

import sys
import threading
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.cli.pacs import AuthoritiesOption, CredentialsOption, PacsOption, TitleOption
from bedside.cli.serving import TimeLimit

if TYPE_CHECKING:
    from bedside.serve.pacs import PacsConfig


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
    pacs: PacsOption = "",
    credentials: CredentialsOption = None,
    authorities: AuthoritiesOption = None,
    title: TitleOption = "BEDSIDE",
) -> None:
    """Open images in the browser, point at objects, correct and save them.

    The server listens on this machine only. Every prompt is kept in the workspace at once; Ctrl+C stops the server.
    Programs use it by bedside.client in Python, or by its REST interface, which /api/openapi.json describes.
    With --pacs, or BEDSIDE_PACS as for `bedside pacs`, the page also searches a PACS, opens series and stores masks.
    """
    from bedside.cli.serving import check_places, serve_until_stopped
    from bedside.serve.server import kept_token, listen

    places = check_places(paths, model)
    token = None if token_file is None else kept_token(token_file)
    archive = _pacs(pacs, credentials, authorities, title)
    address = listen(port, host)
    address.token = token or address.token

    def open_page() -> None:
        if browser:
            threading.Thread(target=_open_browser, args=(address.opened_url,), daemon=True).start()

    told = [f"Bedside is at {address.opened_url}"]
    if json:
        told = [dumps({"url": address.url, "opened_url": address.opened_url, "token": address.token})]
    serve_until_stopped(
        places, model, workspace, address, told, begun=open_page, limit=time_limit, quiet=json, pacs=archive
    )


def _pacs(address: str, credentials: Path | None, authorities: Path | None, title: str) -> PacsConfig | None:
    """Return how the PACS is spoken to, checked before anything starts; None where none was named."""
    if not address:
        return None
    from bedside.archive.address import find_credentials, parse_address
    from bedside.serve.pacs import PacsConfig

    # DIMSE knows no credentials: those of the environment belong to DICOMweb.
    known = find_credentials(credentials, None if parse_address(address).is_web else {})
    config = PacsConfig(address, known, title, authorities)
    with config.opened():
        pass
    return config


def _open_browser(address: str) -> None:
    import webbrowser

    try:
        webbrowser.open(address)
    except webbrowser.Error:
        print("bedside: no browser could be opened; open the address yourself", file=sys.stderr)
