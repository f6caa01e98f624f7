"""One connection to a server, over which requests go one after another; errors come back as they were raised there."""

from __future__ import annotations

import http.client
import json
import select
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from bedside.core import errors
from bedside.core.errors import BedsideError, InputError
from bedside.serve import errors as server_errors

_CLOSED = (http.client.RemoteDisconnected, http.client.CannotSendRequest, BrokenPipeError, ConnectionResetError)
"""What a connection that the server closed while it was idle ends with."""
_SAFE = ("GET",)
"""Methods that may be asked a second time without doing something twice."""


class Connection:
    """A connection that is opened when it is first needed. Threads may share it: their requests queue.

    Args:
        address: As "http://127.0.0.1:8765"; a path or token behind it is left out.
        token: Secret of the server's start.
        timeout: Seconds to wait for a response.

    Raises:
        InputError: The address is not of that form.
    """

    def __init__(self, address: str, token: str, timeout: float) -> None:
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != "http" or not parts.hostname or port is None:
            raise InputError("address", expected="as http://127.0.0.1:8765", got=address.partition("?")[0])
        self.address = f"http://{parts.netloc}"
        self._connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout)
        self._token = token
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close it; it is opened again when it is needed."""
        with self._lock:
            self._connection.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON that comes back, None for an empty response; see ``fetch``."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        received, _ = self.fetch(method, path, content, headers)
        return json.loads(received) if received else None

    def fetch(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return the bytes and headers that come back.

        Args:
            method: "GET", "POST", ...
            path: With the query.
            body: Whole, or in pieces where ``headers`` say the length.
            headers: Beside the token.

        Raises:
            BedsideError: The server's own, by its class.
            InputError: Nothing answers at the address, or what answers is no server of Bedside.
        """
        sent = {"Authorization": f"Bearer {self._token}", **headers}
        with self._lock:
            try:
                response = self._ask(method, path, body, sent)
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                got = "no response in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
                fix = "start it with 'bedside ui --no-browser --token-file FILE'"
                raise InputError(self.address, expected="a running 'bedside ui'", got=got, fix=fix) from error
        if response.status >= 300:
            raise self._problem(response.status, content)
        return content, dict(response.headers.items())

    def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        if self._was_closed():
            self._connection.close()
        fresh = self._connection.sock is None
        try:
            self._connection.request(method, path, body, dict(headers))
            return self._connection.getresponse()
        except _CLOSED:
            self._connection.close()
            if fresh or method not in _SAFE:
                raise
            self._connection.request(method, path, body, dict(headers))
            return self._connection.getresponse()

    def _was_closed(self) -> bool:
        """Return whether the server closed the connection while it was idle: then there is an end to be read."""
        return self._connection.sock is not None and bool(select.select([self._connection.sock], [], [], 0)[0])

    def _problem(self, status: int, content: bytes) -> BedsideError:
        try:
            told = json.loads(content)
            kind, what = told["kind"], told["what"]
            facts = {name: told.get(name) for name in ("expected", "got", "fix")}
        except (ValueError, KeyError, TypeError):
            got = f"status {status} without a problem of its form"
            return InputError(self.address, expected="a server of Bedside", got=got)
        known: object = getattr(errors, str(kind), None) or getattr(server_errors, str(kind), None)
        own = known if isinstance(known, type) and issubclass(known, BedsideError) else BedsideError
        error = own.__new__(own)
        # Some have a sentence of their own, which is what came.
        BedsideError.__init__(error, str(what), **facts)
        return error
