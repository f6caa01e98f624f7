"""Those who are told of an image's changes: one for each WebSocket."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import BaseModel

BACKLOG = 256
"""Messages that may wait for a slow listener before it is let go, to come back and fetch everything again."""


class Listener:
    """The messages for one WebSocket, in their order. Lives in the event loop's thread."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str] = asyncio.Queue(BACKLOG)
        self._lost = False

    def tell(self, message: BaseModel) -> None:
        """Queue a message."""
        self.tell_text(message.model_dump_json())

    def tell_text(self, text: str) -> None:
        """Queue a message that is JSON already."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self._lost = True

    async def next(self) -> str | None:
        """Return the next message; None when too many waited, so that the connection is to be closed."""
        return None if self._lost else await self._queue.get()


@dataclass(frozen=True)
class Origin:
    """Who asked for a change: a listener, and its own name of the request."""

    listener: Listener
    request: str
