"""Noticing that the client of an HTTP request has gone, so that nothing is worked out for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from bedside.serve.security import App, Receive, Scope, Send


class Caller:
    """The client of one request, as it is heard of through ``receive``. Lives in the event loop's thread.

    Args:
        receive: Of the request.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._told: list[Callable[[], None]] = []

    async def receive(self) -> Any:
        """Return the next message for the application: what the client sends, or that it has gone."""
        if self._watching is None:
            return await self._receive()
        with suppress(asyncio.CancelledError):
            await asyncio.shield(self._watching)
        return {"type": "http.disconnect"}

    def tell(self, gone: Callable[[], None]) -> None:
        """Have ``gone`` called when the client goes; the application has read all that it wants of the request."""
        self._told.append(gone)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    def forget(self, gone: Callable[[], None]) -> None:
        """Call ``gone`` no more."""
        self._told.remove(gone)

    def end(self) -> None:
        """Watch no longer: the request is answered."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        for gone in list(self._told):
            gone()


_CALLER: ContextVar[Caller | None] = ContextVar("bedside_caller", default=None)


async def watched(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an application for one request; what it does may ask by ``when_gone`` to be told that the client goes."""
    if scope["type"] != "http":
        await app(scope, receive, send)
        return
    caller = Caller(receive)
    token = _CALLER.set(caller)
    try:
        await app(scope, caller.receive, send)
    finally:
        _CALLER.reset(token)
        caller.end()


@contextmanager
def when_gone(gone: Callable[[], None]) -> Iterator[None]:
    """Have ``gone`` called if the client of this request goes during the block."""
    caller = _CALLER.get()
    if caller is None:
        yield
        return
    caller.tell(gone)
    try:
        yield
    finally:
        caller.forget(gone)
