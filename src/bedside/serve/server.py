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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.core.errors import FormatError, InputError
from bedside.serve.app import Application, Clients
from bedside.serve.logs import are_json
from bedside.serve.security import LOOPBACK

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
CLIENTS_PATIENCE = 20
"""The same where other programs ask: as long as the answer to one prompt may take."""
_TOKEN_FILE = 4096
"""Bytes of a file with a token."""


def new_token() -> str:
    """Return a secret for one start: the environment's, or a random one.

    Raises:
        InputError: The environment's is too short to be one.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    return secrets.token_urlsafe(24) if given is None else _checked_token(given, TOKEN_VARIABLE)


def read_token(path: Path) -> str:
    """Return the secret in a file: one line of letters and digits.

    Raises:
        FormatError: The file cannot be read.
        InputError: It holds no token.
    """
    try:
        with path.open("rb") as file:
            given = file.read(_TOKEN_FILE)
    except OSError as error:
        raise FormatError(f"--token-file {path}", expected="a file to read", got=error.strerror) from error
    return _checked_token(given.decode("ascii", "replace").strip(), f"--token-file {path}")


def kept_token(path: Path) -> str:
    """Return the secret in a file, which is made, for its owner alone to read, where there is none.

    Raises:
        FormatError: The file cannot be read or made.
        InputError: It holds no token.
    """
    token = new_token()
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path)
    except OSError as error:
        raise FormatError(f"--token-file {path}", expected="a place for a file", got=error.strerror) from error
    with os.fdopen(made, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    return token


def _checked_token(given: str, what: str) -> str:
    if len(given) < _SHORTEST_TOKEN or not given.isascii() or not given.replace("-", "").replace("_", "").isalnum():
        raise InputError(what, expected=f"at least {_SHORTEST_TOKEN} letters and digits", got="another text")
    return given


@dataclass(frozen=True)
class Tls:
    """A certificate, and its key where that lies in a file of its own; checked when it is made.

    Raises:
        InputError: They cannot be used.
    """

    certificate: Path
    key: Path | None = None

    def __post_init__(self) -> None:
        import ssl

        try:
            # An empty password: one that is asked for at the terminal would hold a server up.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password="")
        except OSError as error:
            files = f"--tls-cert {self.certificate}" + (f" --tls-key {self.key}" if self.key else "")
            got = error.strerror or str(error) or "another file"
            raise InputError(files, expected="a certificate and its key without a password (PEM)", got=got) from error


@dataclass
class Address:
    """Where the server is.

    Attributes:
        listening: The socket, bound and listening: whoever connects now waits.
        host: Address, of loopback where only this machine may ask.
        port: Its port.
        token: Secret of this start.
        tls: What is spoken over; None for plain HTTP.
    """

    listening: socket.socket
    host: str
    port: int
    token: str = field(default_factory=new_token)
    tls: Tls | None = None

    @property
    def url(self) -> str:
        """The address without the secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}/"

    @property
    def opened_url(self) -> str:
        """The address to open, which lets in."""
        return f"{self.url}?token={self.token}"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    return host in LOOPBACK


def listen(port: int | None, host: str = "127.0.0.1", beyond: bool = False) -> Address:
    """Take a port.

    Args:
        port: The port; 0 for any that is free; None for the default one, or the next that is free.
        host: 127.0.0.1, ::1 or localhost.
        beyond: Whether it may be another address of this machine, which other machines reach.

    Raises:
        InputError: The port is taken or not allowed, or the host is not loopback, or not this machine's.
    """
    if not beyond and not is_loopback(host):
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
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            raise InputError("--host", expected="an address of this machine", got=host) from error
        raise InputError(f"--port {port}", expected="a port that may be used", got=error.strerror) from error
    return taken


def run(make: Callable[[], Service], address: Address, clients: Clients | None = None) -> None:
    """Serve until the process is told to stop (Ctrl+C or SIGTERM); requests under way are answered first.

    Args:
        make: Makes the service.
        address: Where to serve.
        clients: What programs other than the page may do; None for none.

    A prediction under way goes on in its thread when this returns; nobody waits for it.
    """
    import uvicorn

    application = Application(make, address.port, address.token, clients=clients)
    secured: dict[str, Any] = {"log_config": None} if are_json() else {}
    if address.tls is not None:
        secured |= {"ssl_certfile": address.tls.certificate, "ssl_keyfile": address.tls.key}
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_PATIENCE if clients is None else CLIENTS_PATIENCE,
        ws_max_size=64 * 2**20,
        server_header=False,
        **secured,
    )
    server = uvicorn.Server(config)
    # The server stops as it should and then lets the signal happen once more, which must not end the process for it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(sockets=[address.listening]))
