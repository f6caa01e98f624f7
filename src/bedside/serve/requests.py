"""A request on its way through the worker: whom to tell what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bedside.core.errors import StoppedError, TimeLimitError
from bedside.core.placed import PlacedPrompt
from bedside.serve.errors import problem_fields
from bedside.serve.listeners import Origin
from bedside.serve.messages import Problem, Superseded
from bedside.serve.opened import Outcome
from bedside.serve.socket_messages import SocketAnswer, SocketCancelled, SocketError, SocketSuperseded


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
