"""What goes through the WebSocket of an image, in both directions, as typed messages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bedside.serve.message import Message
from bedside.serve.messages import BrushRequest, Change, Problem, PromptRequest


class SocketPrompt(PromptRequest):
    """Client: add a prompt."""

    type: Literal["prompt"]
    request: Annotated[str, Field(max_length=100)]


class SocketBrush(BrushRequest):
    """Client: replace a box of an object's mask."""

    type: Literal["brush"]
    request: Annotated[str, Field(max_length=100)]


class SocketStep(Message):
    """Client: undo or redo of an object, the current one by default."""

    type: Literal["undo", "redo"]
    request: Annotated[str, Field(max_length=100)]
    object: int | None = None


class SocketRemove(Message):
    """Client: delete one prompt, wherever it stands."""

    type: Literal["remove"]
    request: Annotated[str, Field(max_length=100)]
    prompt: int


class SocketCancel(Message):
    """Client: stop working on a request of its own, of which nothing was answered yet; None for all of them."""

    type: Literal["cancel"]
    request: Annotated[str, Field(max_length=100)] | None = None


SocketRequest = Annotated[
    SocketPrompt | SocketBrush | SocketStep | SocketRemove | SocketCancel, Field(discriminator="type")
]


class SocketHello(Message):
    """Server, first: the version at which the client joined."""

    type: Literal["hello"] = "hello"
    image: int
    version: int


class SocketBusy(Message):
    """Server: work on a request has begun, or it waits behind ``ahead`` others; it may take ``limit`` seconds."""

    type: Literal["busy"] = "busy"
    request: str
    object: int | None
    ahead: int
    limit: float | None = None


class SocketPredictions(Message):
    """Server, now and then: of the ``of`` predictions that a request takes, where it takes many, ``done`` are made."""

    type: Literal["predictions"] = "predictions"
    request: str
    done: int
    of: int


class SocketAnswer(Message):
    """Server: the answer to a request of this client."""

    type: Literal["answer"] = "answer"
    request: str
    change: Change


class SocketChanged(Message):
    """Server: somebody else (another tab, or REST) changed the image."""

    type: Literal["changed"] = "changed"
    change: Change


class SocketProgress(Message):
    """Server: how far a search or a propagation of this image is, whoever asked for it; ``total`` where it is known."""

    type: Literal["progress"] = "progress"
    what: Literal["find-like", "propagate"]
    done: int
    total: int | None = None


class SocketSuperseded(Message):
    """Server: a prompt was taken, and its answer comes with that to a newer one."""

    type: Literal["superseded"] = "superseded"
    request: str


class SocketCancelled(Message):
    """Server: a request was stopped before its answer; its prompt is nowhere, and nothing has changed."""

    type: Literal["cancelled"] = "cancelled"
    request: str


class SocketError(Message):
    """Server: a request was rejected, and nothing changed. ``request`` is None where it could not be read."""

    type: Literal["error"] = "error"
    request: str | None
    problem: Problem


SocketReply = (
    SocketHello
    | SocketBusy
    | SocketPredictions
    | SocketAnswer
    | SocketChanged
    | SocketProgress
    | SocketSuperseded
    | SocketCancelled
    | SocketError
)
