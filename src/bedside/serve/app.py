"""The whole application: guard, page, and the API, which is imported while the browser fetches the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.serve.page import FOLDER, Page
from bedside.serve.security import App, Guard, Receive, Scope, Send

if TYPE_CHECKING:
    from bedside.serve.service import Service


class Application:
    """An ASGI application that serves the page at once and the API as soon as it is imported.

    Args:
        make: Makes the service; called in another thread, since what it imports takes its time.
        port: Port that the server listens on.
        token: Secret of this start.
        page: The built page.

    Attributes:
        service: The service, once it runs.
    """

    def __init__(self, make: Callable[[], Service], port: int, token: str, page: Path = FOLDER) -> None:
        self.service: Service | None = None
        self._make = make
        self._page = Page(page)
        self._api: asyncio.Task[App] | None = None
        self._guarded = Guard(self._route, port, token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._guarded(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" or scope["path"].startswith("/api"):
            assert self._api is not None
            api = await asyncio.shield(self._api)
            answer = _Answer(send)
            try:
                await api(scope, receive, answer)
            except Exception:
                # Logged and answered already; raised once more it would take the connection down with it.
                if not answer.begun:
                    raise
        else:
            await self._page(scope, receive, send)

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
        from bedside.serve.api import build_api

        return build_api(service)

    def _import(self) -> Service:
        # Imported here for the time that it takes: the event loop goes on serving the page.
        import bedside.serve.api  # noqa: F401

        self.service = self._make()
        return self.service


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
