"""``bedside serve``: the engine behind other programs' clients, and the page beside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bedside.cli.serving import TimeLimit
from bedside.core.errors import InputError

MIB = 2**20


def serve(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Images, or folders of images for the page's worklist; the first folder is MONAI Label's datastore.",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=65535, help="Port; by default 8765, or the next free one.")
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; any but loopback needs --token-file.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One line of letters and digits that clients must send.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate (PEM): HTTPS only.")] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its key, where that is not in the same file.")
    ] = None,
    sessions: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Clients at a time.")] = 8,
    idle: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=1, help="Time without a prompt after which a client has to connect again."),
    ] = 600.0,
    image_limit: Annotated[
        int, typer.Option(metavar="MIB", min=1, help="Size of an image that a client may send.")
    ] = 1024,
    prompts_a_minute: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Prompts that one address may give; by default any number.")
    ] = None,
    images_a_minute: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Images that one address may send; by default any number.")
    ] = None,
    mib_a_minute: Annotated[
        int | None, typer.Option(metavar="MIB", min=1, help="Size of these images together; by default any.")
    ] = None,
    upload_memory: Annotated[
        int, typer.Option(metavar="MIB", min=1, help="Size of all that is being sent at a time.")
    ] = 4096,
    upload_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Time that the body of a request may take to come.")
    ] = 300.0,
    log_json: Annotated[
        bool, typer.Option("--log-json", help="Log requests to stderr, one JSON object a line, without patient data.")
    ] = False,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model; by default the bundled ones.")] = None,
    workspace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the work is kept; by default in the user's own folder.")
    ] = None,
    time_limit: TimeLimit = 600.0,
) -> None:
    """Answer the clients that other programs have: nnInteractive's, MONAI Label's, and ITK-SNAP's for deep learning.

    Every prompt is kept in the workspace at once. Ctrl+C, or SIGTERM, stops the server once it has answered what it was
    asked. On loopback the page is there, too; other machines get neither the page nor its API.
    """
    from bedside.cli.serving import check_places, serve_until_stopped
    from bedside.serve.allowance import Kind
    from bedside.serve.app import Clients
    from bedside.serve.logs import log_as_json
    from bedside.serve.protocol import Limits
    from bedside.serve.server import Tls, is_loopback, listen, read_token

    places = check_places(paths, model)
    beyond = not is_loopback(host)
    if beyond and token_file is None:
        raise InputError(
            f"--host {host}",
            expected="a token where other machines may ask",
            got="none",
            fix="add --token-file FILE, or leave --host out",
        )
    if tls_key is not None and tls_cert is None:
        raise InputError("--tls-key", expected="--tls-cert with it", got="none")
    token = read_token(token_file) if token_file is not None else None
    tls = Tls(tls_cert, tls_key) if tls_cert is not None else None
    address = listen(port, host, beyond)
    address.tls = tls
    address.token = token or address.token
    a_minute: dict[Kind, int | None] = {
        "prompts": prompts_a_minute,
        "images": images_a_minute,
        "bytes": None if mib_a_minute is None else mib_a_minute * MIB,
    }
    limits = Limits(
        sessions=sessions,
        idle=idle,
        image=image_limit * MIB,
        quota={kind: most for kind, most in a_minute.items() if most is not None},
        held=upload_memory * MIB,
        patience=upload_timeout,
    )
    if log_json:
        log_as_json()
    clients = Clients(limits, token_needed=token is not None, beyond=beyond)
    told = [f"Bedside serves clients at {address.url}"]
    if not beyond:
        told.append(f"The page is at {address.opened_url if token is None else address.url + '?token=TOKEN'}")
    if beyond and tls is None:
        print("bedside: without --tls-cert others on the network can read images and token", file=sys.stderr)
    serve_until_stopped(places, model, workspace, address, told, clients, limit=time_limit)
