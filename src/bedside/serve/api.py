"""The API as a FastAPI application. Imported late: it takes longer than all that a browser needs first."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bedside import __version__
from bedside.core.disk import storage_error
from bedside.core.errors import BedsideError, InputError
from bedside.serve.allowance import Allowance
from bedside.serve.clients import Client
from bedside.serve.errors import MethodError, NotFoundError, problem_fields, status_of
from bedside.serve.invalid import invalid_body
from bedside.serve.leases import Leases
from bedside.serve.metering import Allowances, Metering
from bedside.serve.protocol import PROTOCOLS, Desk, Limits, Protocol
from bedside.serve.routes import export, images, objects, pacs, second, segmentation, socket, start
from bedside.serve.security import App
from bedside.serve.service import Service

log = logging.getLogger("bedside.serve")

_ABOUT = "Promptable segmentation of medical images on this machine. Not a medical device."


def build_api(service: Service) -> FastAPI:
    """Return the application that answers everything below /api."""
    app = FastAPI(
        title="Bedside",
        version=__version__,
        description=_ABOUT,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.openapi = lambda: _with_token(FastAPI.openapi(app))  # type: ignore[method-assign]
    for routes in (start, images, second, objects, segmentation, export, pacs, socket):
        app.include_router(routes.router)
    app.add_exception_handler(BedsideError, _rejected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(OSError, _of_the_system)
    app.add_exception_handler(Exception, _failed)
    return app


def _with_token(schema: dict[str, Any]) -> dict[str, Any]:
    """Say in a schema that all that is asked for needs the token."""
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"token": []}]
    return schema


def build_protocols(
    service: Service,
    limits: Limits,
    admits: Callable[[str], bool] | None = None,
    metering: Metering | None = None,
) -> dict[str, App]:
    """Return the application of each protocol by its name; each says errors in its protocol's own form.

    Args:
        service: What they are adapters of.
        limits: What each client may take.
        admits: Returns whether a text is the token of this start; None where clients need none.
        metering: Counts what they do.
    """
    metering = metering or Metering()
    apps: dict[str, App] = {}
    for name, protocol in PROTOCOLS.items():
        app = FastAPI(title=protocol.title, openapi_url=None, docs_url=None, redoc_url=None)
        allowance = Allowances(limits.quota, metering.taken.setdefault(name, Counter())).of_peer

        def make(title: str = protocol.title, allowance: Callable[[], Allowance] = allowance) -> Client:
            return Client(service, title, allowance())

        most, alive = limits.sessions * protocol.places, limits.alive if protocol.beats else limits.idle
        leases = Leases(make, most, limits.idle, alive)
        metering.leases[name] = leases.__len__
        app.include_router(protocol.routes(Desk(service, leases, limits, admits, allowance)))
        for kind in (Exception, BedsideError, OSError, RequestValidationError, HTTPException):
            app.add_exception_handler(kind, _in_form_of(protocol))
        apps[name] = app
    return apps


def _in_form_of(protocol: Protocol) -> Callable[[Request, Exception], Awaitable[JSONResponse]]:
    async def answer(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, RequestValidationError):
            error = InputError(invalid_body(error.errors()).message)
        elif isinstance(error, HTTPException):
            error = InputError(f"{request.method} {request.url.path}", got=error.detail)
        elif isinstance(error, OSError) and not isinstance(error, BedsideError):
            error = storage_error("what the server keeps", error) or error
        if not isinstance(error, BedsideError):
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        status, body = protocol.problem(error)
        return JSONResponse(dict(body), status)

    return answer


async def _rejected(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, BedsideError)
    return JSONResponse(problem_fields(error), status_of(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)
    return JSONResponse(invalid_body(error.errors()).model_dump(), 422)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = {404: NotFoundError, 405: MethodError}.get(error.status_code, InputError)
    what = kind(f"{request.method} {request.url.path}", got=error.detail, fix="see /api/openapi.json")
    # With "Allow", which says of a wrong method what would be right.
    return JSONResponse(problem_fields(what), error.status_code, error.headers)


async def _of_the_system(request: Request, error: Exception) -> JSONResponse:
    """Say that the disk is full, wherever that is noticed; other errors of the system nobody foresaw."""
    told = storage_error("what the server keeps", error)
    return await (_failed(request, error) if told is None else _rejected(request, told))


async def _failed(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse(problem_fields(error), 500)
