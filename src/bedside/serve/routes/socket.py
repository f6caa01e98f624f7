"""The WebSocket of an image: prompts in, answers out, and news of what others did."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter, ValidationError

from bedside.core.errors import BedsideError
from bedside.serve.errors import problem_fields
from bedside.serve.invalid import invalid_body
from bedside.serve.listeners import Listener, Origin
from bedside.serve.messages import Problem
from bedside.serve.prompts import read_prompt
from bedside.serve.routes.common import ServiceOf
from bedside.serve.service import Service
from bedside.serve.socket_messages import (
    SocketBrush,
    SocketCancel,
    SocketError,
    SocketHello,
    SocketPrompt,
    SocketRemove,
    SocketRequest,
)

NOT_FOUND, TOO_SLOW = 4404, 4408
"""Codes with which the server closes a connection."""
GOES_ON, STOPS = 4000, 1012
"""Codes after which nothing is stopped: the page went to another image, or the server itself ends."""

router = APIRouter(prefix="/api/images/{image}")
_REQUESTS: TypeAdapter[SocketRequest] = TypeAdapter(SocketRequest)


@router.websocket("/ws")
async def talk(service: ServiceOf, socket: WebSocket, image: int) -> None:
    """Answer one client until it goes away."""
    await socket.accept()
    listener = Listener()
    try:
        opened = await service.hub.get(image)
    except BedsideError as error:
        await socket.close(NOT_FOUND, str(error)[:120])
        return
    listener.tell(SocketHello(image=image, version=opened.snapshot.version))
    service.hub.listen(image, listener)
    sending = asyncio.create_task(_send(socket, listener))
    try:
        while True:
            await _take(service, image, listener, await socket.receive_text())
    except WebSocketDisconnect as gone:
        # Where the server itself ends, what it was asked stays in the journal, and is answered when it is opened again.
        if gone.code not in (GOES_ON, STOPS):
            service.hub.leave(image, listener)
    except (RuntimeError, KeyError):
        # RuntimeError where our own side closed it, KeyError where the message holds no text.
        pass
    finally:
        service.hub.forget(image, listener)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await sending


async def _send(socket: WebSocket, listener: Listener) -> None:
    while (text := await listener.next()) is not None:
        await socket.send_text(text)
    await socket.close(TOO_SLOW, "too many messages waited; connect again")


async def _take(service: Service, image: int, listener: Listener, text: str) -> None:
    """Hand one message of a client to the worker, or say what is wrong with it."""
    name: str | None = None
    try:
        request = _REQUESTS.validate_json(text)
        name = request.request
        if isinstance(request, SocketCancel):
            service.hub.cancel_request(image, listener, name)
            return
        opened = await service.hub.get(image)
        origin = Origin(listener, request.request)
        if isinstance(request, SocketPrompt):
            prompt = read_prompt(request.prompt, opened.image)
            if request.on == "second":
                number = request.object
                service.hub.request(opened, origin, number, lambda: opened.prompt_on_second(number, prompt), asks=True)
            else:
                service.hub.request(opened, origin, request.object, (prompt, request.predict))
        elif isinstance(request, SocketBrush):
            service.hub.request(opened, origin, request.object, lambda: opened.brush(request))
        elif isinstance(request, SocketRemove):
            service.hub.request(opened, origin, None, lambda: opened.remove_prompt(request.prompt), asks=True)
        else:
            redo = request.type == "redo"
            service.hub.request(opened, origin, request.object, lambda: opened.step(request.object, redo))
    except ValidationError as error:
        listener.tell(SocketError(request=name, problem=invalid_body(error.errors())))
    except BedsideError as error:
        listener.tell(SocketError(request=name, problem=Problem.model_validate(problem_fields(error))))
