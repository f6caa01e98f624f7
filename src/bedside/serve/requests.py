"""A request on its way through the worker: whom to tell what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedside.core.errors import StoppedError, TimeLimitError
from bedside.core.placed import PlacedPrompt
from bedside.serve.errors import problem_fields
from bedside.serve.listeners import Origin
from bedside.serve.messages import Problem, Superseded
from bedside.serve.opened import Outcome
from bedside.serve.socket_messages import (
    SocketAnswer,
    SocketCancelled,
    SocketError,
    SocketPredictions,
    SocketSuperseded,
)

EVERY = 0.2
"""Seconds between two messages of how far a piece of work is."""


@dataclass(frozen=True, eq=False)
class Content:
    """What a job carries.

    Attributes:
        settle: Tells whoever asked.
        origin: Who asked over a WebSocket; None for others.
        prompt: The prompt, where it is one.
    """

    settle: Callable[[Outcome], None]
    origin: Origin | None = None
    prompt: PlacedPrompt | None = None


def progress(origin: Origin) -> Callable[[int, int], None]:
    """Return what tells the listener that asked how far the work is, from the thread that works and not too often."""
    loop, said = asyncio.get_running_loop(), [0.0]

    def tell(done: int, of: int) -> None:
        now = time.monotonic()
        if now - said[0] >= EVERY:
            said[0] = now
            message = SocketPredictions(request=origin.request, done=done, of=of)
            loop.call_soon_threadsafe(origin.listener.tell, message)

    return tell


def was_stopped(outcome: object) -> bool:
    """Return whether somebody asked for this end, unlike a limit of time."""
    return isinstance(outcome, StoppedError) and not isinstance(outcome, TimeLimitError)


def settle(future: asyncio.Future[Any]) -> Callable[[Outcome], None]:
    """Hand an outcome to whoever waits for it, if somebody still does."""

    def hand(outcome: Outcome) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    return hand


def tell(origin: Origin) -> Callable[[Outcome], None]:
    """Hand an outcome to the listener that asked."""

    def hand(outcome: Outcome) -> None:
        if was_stopped(outcome):
            origin.listener.tell(SocketCancelled(request=origin.request))
        elif isinstance(outcome, Exception):
            origin.listener.tell(
                SocketError(request=origin.request, problem=Problem.model_validate(problem_fields(outcome)))
            )
        elif isinstance(outcome, Superseded):
            origin.listener.tell(SocketSuperseded(request=origin.request))
        else:
            origin.listener.tell(SocketAnswer(request=origin.request, change=outcome))

    return hand
