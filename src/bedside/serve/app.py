"""The whole application: guard, page, and the API, which is imported while the browser fetches the page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside import __version__
from bedside.serve.errors import NotFoundError, problem_fields
from bedside.serve.leaving import watched
from bedside.serve.page import FOLDER, Page
from bedside.serve.security import App, Door, Guard, Receive, Scope, Send, door_at

if TYPE_CHECKING:
    from bedside.serve.protocol import Limits
    from bedside.serve.service import Service

HEALTH = "/healthz"
"""Path that says whether the server is up; it needs no token."""


@dataclass(frozen=True)
class Clients:
    """What programs other than the page may do.

    Attributes:
        limits: What each may take.
        token_needed: Whether they need the token of this start.
        beyond: Whether other machines may ask; these get neither the page nor its API, which opens files by their path.
    """

    limits: Limits
    token_needed: bool = True
    beyond: bool = False


class Application:
    """An ASGI application that serves the page at once and the API as soon as it is imported.

    Args:
        make: Makes the service; called in another thread, since what it imports takes its time.
        port: Port that the server listens on.
        token: Secret of this start.
        page: The built page.
        clients: What other programs may do; None for a server of the page alone.

    Attributes:
        service: The service, once it runs.
    """

    def __init__(
        self,
        make: Callable[[], Service],
        port: int,
        token: str,
        page: Path = FOLDER,
        clients: Clients | None = None,
    ) -> None:
        self.service: Service | None = None
        self._make = make
        self._page = Page(page)
        self._api: asyncio.Task[App] | None = None
        self._clients = clients
        self._protocols: Mapping[str, App] = {}
        doors: dict[str, Door] = {}
        self._metering = None
        if clients is not None:
            from bedside.serve.metering import METRICS, Metering
            from bedside.serve.protocol import doors as find_doors
            from bedside.serve.protocol import in_field

            doors = find_doors(clients.limits, clients.token_needed)
            doors[METRICS] = Door(METRICS, clients.token_needed, 0, in_field("detail"))
            self._metering = Metering(clients.limits.held, clients.limits.patience)
        self._doors = doors
        self._guarded = Guard(self._route, port, token, doors, clients is not None and clients.beyond)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        door = door_at(self._doors, scope["path"])
        if self._metering is None or door is None or scope["type"] != "http":
            await self._guarded(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._doors else scope["path"].rpartition("/")[0] + "/*"
        await self._metering.answer(self._guarded, scope, receive, send, door, path)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        clients, door = self._clients, door_at(self._doors, scope["path"])
        if clients is not None and scope["type"] == "http" and scope["path"] == HEALTH:
            ready = self.service is not None and self._api is not None and self._api.done()
            await _say(send, 200, {"ok": True, "server": f"bedside {__version__}", "ready": ready})
        elif self._metering is not None and door is not None and door.protocol == scope["path"]:
            await _say(send, 200, self._metering.text())
        elif clients is not None and clients.beyond and door is None:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008, "reason": "only for this machine"})
                return
            error = NotFoundError(scope["path"], fix="page and API are there for the server's own machine only")
            await _say(send, 404, problem_fields(error))
        elif scope["type"] == "websocket" or door is not None or scope["path"].startswith("/api"):
            assert self._api is not None
            api = await asyncio.shield(self._api)
            answer = _Answer(send)
            try:
                await watched(api if door is None else self._protocols[door.protocol], scope, receive, answer)
            except Exception:
                # Logged and answered already; raised once more it would take the connection down with it.
                if not answer.begun:
                    raise
        elif self._page.serves(scope):
            await self._page(scope, receive, send)
        else:
            path = scope["path"]
            known = clients is None and await asyncio.to_thread(_is_of_a_protocol, path)
            await _say(send, 404, problem_fields(NotFoundError(path[:200], fix=_START_SERVE if known else None)))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._api = asyncio.create_task(self._build())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if not self._api.done():
            self._api.cancel()
        if self.service is not None:
            await self.service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _build(self) -> App:
        service = await asyncio.to_thread(self._import)
        await service.start()
        from bedside.serve.api import build_api, build_protocols

        if self._clients is not None:
            admits = self._guarded.is_token if self._clients.token_needed else None
            self._protocols = build_protocols(service, self._clients.limits, admits, self._metering)
            assert self._metering is not None
            self._metering.watch(service)
        return build_api(service)

    def _import(self) -> Service:
        # Imported here for the time that it takes: the event loop goes on serving the page.
        import bedside.serve.api  # noqa: F401

        self.service = self._make()
        return self.service


def _is_of_a_protocol(path: str) -> bool:
    """Return whether another program asks for a path, of a server that answers none; imports the protocols."""
    from bedside.serve.metering import METRICS
    from bedside.serve.protocol import Limits
    from bedside.serve.protocol import doors as find_doors

    return path in (HEALTH, METRICS) or door_at(find_doors(Limits(), False), path) is not None


_START_SERVE = "'bedside ui' has the page only; start 'bedside serve' for clients of other programs"


async def _say(send: Send, status: int, body: Mapping[str, Any] | str) -> None:
    kind, text = (
        (b"text/plain; version=0.0.4; charset=utf-8", body) if isinstance(body, str) else (_JSON, json.dumps(body))
    )
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


_JSON = b"application/json"


class _Answer:
    """Adds to an answer that it is to be kept in no cache (images of patients belong in none), and sees it begin."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            message["headers"] = [*message.get("headers", ()), (b"cache-control", b"no-store")]
        await self._send(message)
