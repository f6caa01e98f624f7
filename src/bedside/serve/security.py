"""Who may ask: pages of this server, on this machine, with the token of this start.

Any site that the user visits can send requests to a server on loopback. So the names in ``Host`` (against DNS
rebinding) and ``Origin`` must be this server's own, and every call of the API must carry a token that only the opened
address had.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from bedside.serve.errors import OtherSiteError, TokenError, TooLargeError, problem_fields

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN_PATHS = ("/api/openapi.json",)
"""Paths below /api that hold nothing of the user's."""
_UPLOADS = re.compile(r"/api/(upload|images/\d+/(segmentation|second))")
"""Where browsers send files."""
UPLOAD_LIMIT = 8 * 2**30
"""Bytes of an upload, and of a zip once unpacked."""
BODY_LIMIT = 64 * 2**20
"""Bytes of any other request: a brush as large as a volume of bits fits."""


@dataclass(frozen=True)
class Door:
    """What a path that other programs ask for needs of them.

    Attributes:
        protocol: Name of the protocol that answers.
        token_needed: Whether the token of this start must come with a request.
        limit: Bytes of a body, whose length need not be said before.
        problem: Returns status and body of the answer that an error becomes.
    """

    protocol: str
    token_needed: bool
    limit: int
    problem: Callable[[Exception], tuple[int, Mapping[str, Any]]]


def door_at(doors: Mapping[str, Door], path: str) -> Door | None:
    """Return the door that a path leads to: by the whole path, or by all but its last part."""
    return doors.get(path) or doors.get(path.rpartition("/")[0] + "/*")


NO_DOORS: Mapping[str, Door] = MappingProxyType({})


class Guard:
    """Lets through what this server's own pages ask, and other programs where there are doors for them; everything else
    gets a short answer that says why not.

    Args:
        app: What is guarded.
        port: Port that the server listens on.
        token: Secret of this start.
        doors: Paths that other programs ask for.
        beyond: Whether other machines may ask, so that the server's name is not known here.
    """

    def __init__(
        self, app: App, port: int, token: str, doors: Mapping[str, Door] = NO_DOORS, beyond: bool = False
    ) -> None:
        self._app, self._port, self._token = app, port, token
        self._doors, self._beyond = doors, beyond
        self._cookie = f"bedside_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, and answer it or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _joined(scope["headers"])
        door = door_at(self._doors, scope["path"])
        if not self._is_ours(headers, scope.get("scheme", "http").replace("ws", "http"), door):
            other = OtherSiteError(headers.get("origin") or headers.get("host", "no host"))
            await _reject(scope, send, 403, other, door)
        elif self._needs_token(scope["path"], door) and not self._has_token(headers):
            await _reject(scope, send, 401, TokenError(), door)
        elif (size := _excess(scope, headers, door)) is not None:
            error = TooLargeError("request", expected="a body whose length is said and allowed", got=size)
            await _reject(scope, send, 413, error, door)
        elif door is not None:
            await self._app(scope, _counted(receive, door.limit), send)
        elif scope["type"] == "http" and not scope["path"].startswith("/api") and b"token=" in scope["query_string"]:
            await self._take_token(scope, send)
        else:
            await self._app(scope, receive, send)

    @staticmethod
    def _needs_token(path: str, door: Door | None) -> bool:
        if door is not None:
            return door.token_needed
        return path.startswith("/api") and path not in OPEN_PATHS

    def _is_ours(self, headers: dict[str, str], scheme: str, door: Door | None) -> bool:
        host = headers.get("host", "")
        if not self._beyond and not self._is_loopback(f"{scheme}://{host}"):
            return False
        origin = headers.get("origin")
        if origin is not None:
            return origin == f"{scheme}://{host}"
        # Pages of other sites load pictures and scripts without naming their origin, but not without this. They may
        # lead to the page, and not to what other programs ask for: some of them change things by GET.
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return True
        return door is None and headers.get("sec-fetch-mode") == "navigate"

    def _is_loopback(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            standard = 443 if parts.scheme == "https" else 80
            return parts.hostname in LOOPBACK and (parts.port or standard) == self._port
        except ValueError:
            return False

    def is_token(self, text: str) -> bool:
        """Return whether a text is the token of this start."""
        return secrets.compare_digest(text.encode("utf-8", "replace"), self._token.encode())

    def _has_token(self, headers: dict[str, str]) -> bool:
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if bearer and self.is_token(bearer):
            return True
        # Split by hand: all programs on this host share their cookies, and a parser gives up at the first odd one.
        given = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
        ours = [value.strip('"') for name, _, value in given if name == self._cookie]
        return any(secrets.compare_digest(value.encode(), self._token.encode()) for value in ours)

    async def _take_token(self, scope: Scope, send: Send) -> None:
        """Turn the token in the address into a cookie, so that it stays in no history, and go on without it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token", "")
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        # One slash only: two would lead to another host.
        target = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        headers = [(b"location", target.encode()), (b"cache-control", b"no-store")]
        if secrets.compare_digest(given.encode(), self._token.encode()):
            secure = "; Secure" if scope.get("scheme") == "https" else ""
            cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict{secure}"
            headers.append((b"set-cookie", cookie.encode()))
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name in lower case; several cookies are one list, and of any other header the last counts."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}; {text}" if key == "cookie" and key in headers else text
    return headers


def _excess(scope: Scope, headers: dict[str, str], door: Door | None) -> str | None:
    """Return how large the body of a request is, where that is too large or not said; None where it is in order."""
    if scope["type"] != "http":
        return None
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdigit():
        # Behind a door it is counted as it comes.
        return None if door is not None and "transfer-encoding" in headers else "an unknown length"
    limit = UPLOAD_LIMIT if _UPLOADS.fullmatch(scope["path"]) else BODY_LIMIT
    limit = limit if door is None else door.limit
    return f"{length} bytes of {limit}" if int(length) > limit else None


def _counted(receive: Receive, limit: int) -> Receive:
    """Return a way to receive a body that ends with an error once more than ``limit`` bytes have come."""
    came = 0

    async def counted() -> MutableMapping[str, Any]:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise TooLargeError("request", expected=f"at most {limit} bytes", got="more")
        return message

    return counted


async def _reject(scope: Scope, send: Send, status: int, error: Exception, door: Door | None = None) -> None:
    if scope["type"] == "websocket":
        # Before the handshake this becomes HTTP 403: a page of another site learns no more.
        await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:120]})
        return
    told: Mapping[str, Any] = problem_fields(error)
    if door is not None:
        status, told = door.problem(error)
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
