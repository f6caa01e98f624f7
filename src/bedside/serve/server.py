"""Running the server: a socket first, so that the address stands; then the page; then everything else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bedside.core.errors import InputError
from bedside.serve.app import Application

if TYPE_CHECKING:
    from bedside.serve.service import Service

DEFAULT_PORT = 8765
TRIED_PORTS = 50
"""Ports that are tried from the default one on, where the user named none."""
TOKEN_VARIABLE = "BEDSIDE_TOKEN"
"""Environment variable with a token of the developer's own, so that pages under development outlive a restart."""
_SHORTEST_TOKEN = 16
_PATIENCE = 1
"""Seconds that open connections are waited for at the end."""


def new_token() -> str:
    """Return a secret for one start: the environment's, or a random one.

    Raises:
        InputError: The environment's is too short to be one.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given is None:
        return secrets.token_urlsafe(24)
    if len(given) < _SHORTEST_TOKEN or not given.isascii() or not given.replace("-", "").replace("_", "").isalnum():
        raise InputError(TOKEN_VARIABLE, expected=f"at least {_SHORTEST_TOKEN} letters and digits", got="another text")
    return given


@dataclass
class Address:
    """Where the server is.

    Attributes:
        listening: The socket, bound and listening: whoever connects now waits.
        host: Loopback address.
        port: Its port.
        token: Secret of this start.
    """

    listening: socket.socket
    host: str
    port: int
    token: str = field(default_factory=new_token)

    @property
    def url(self) -> str:
        """The address without the secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def opened_url(self) -> str:
        """The address to open, which lets in."""
        return f"{self.url}?token={self.token}"


def listen(port: int | None, host: str = "127.0.0.1") -> Address:
    """Take a port on loopback.

    Args:
        port: The port; 0 for any that is free; None for the default one, or the next that is free.
        host: 127.0.0.1, ::1 or localhost.

    Raises:
        InputError: The port is taken or not allowed, or the host is not loopback.
    """
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise InputError(
            "--host", expected="127.0.0.1, ::1 or localhost", got=host, fix="the server is for this machine"
        )
    host = "127.0.0.1" if host == "localhost" else host
    tried = range(DEFAULT_PORT, DEFAULT_PORT + TRIED_PORTS) if port is None else (port,)
    for number in tried:
        taken = _take(number, host)
        if taken is not None:
            return Address(taken, host, int(taken.getsockname()[1]))
    if port is None:
        raise InputError(
            "no free port", expected=f"one of {tried[0]} to {tried[-1]}", got="all in use", fix="name one with --port"
        )
    raise InputError(f"--port {port}", expected="a free port", got="one in use", fix="name another, or leave it out")


def _take(port: int, host: str) -> socket.socket | None:
    """Return a listening socket; None where the port is in use."""
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # On Windows this would let two servers share the port.
        if os.name == "posix":
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen(128)
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise InputError(f"--port {port}", expected="a port that may be used", got=error.strerror) from error
    return taken


def run(make: Callable[[], Service], address: Address) -> None:
    """Serve until the process is told to stop (Ctrl+C or SIGTERM).

    Args:
        make: Makes the service.
        address: Where to serve.

    A prediction under way goes on in its thread when this returns; nobody waits for it.
    """
    import uvicorn

    application = Application(make, address.port, address.token)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_PATIENCE,
        ws_max_size=64 * 2**20,
        server_header=False,
    )
    server = uvicorn.Server(config)
    # The server stops as it should and then lets the signal happen once more, which must not end the process for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[address.listening]))
