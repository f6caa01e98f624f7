"""The API as a FastAPI application. Imported late: it takes longer than all that a browser needs first."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bedside import __version__
from bedside.core.disk import storage_error
from bedside.core.errors import BedsideError, InputError
from bedside.serve.errors import MethodError, NotFoundError, problem_fields, status_of
from bedside.serve.invalid import invalid_body
from bedside.serve.routes import export, images, objects, segmentation, socket, start
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
    for routes in (start, images, objects, segmentation, export, socket):
        app.include_router(routes.router)
    app.add_exception_handler(BedsideError, _rejected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(OSError, _of_the_system)
    app.add_exception_handler(Exception, _failed)
    return app


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
    return JSONResponse(problem_fields(what), error.status_code)


async def _of_the_system(request: Request, error: Exception) -> JSONResponse:
    """Say that the disk is full, wherever that is noticed; other errors of the system nobody foresaw."""
    told = storage_error("what the server keeps", error)
    return await (_failed(request, error) if told is None else _rejected(request, told))


async def _failed(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse(problem_fields(error), 500)
