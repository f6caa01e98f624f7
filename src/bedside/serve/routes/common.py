"""What the routes share: the service behind them, and streams."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends
from starlette.requests import HTTPConnection

from bedside.serve.errors import STATUSES
from bedside.serve.messages import Problem
from bedside.serve.service import Service

PROBLEMS: dict[int | str, dict[str, object]] = {
    code: {"model": Problem, "description": text} for code, text in STATUSES.items()
}


def the_service(connection: HTTPConnection) -> Service:
    """Return the service of the application that answers."""
    service: Service = connection.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(the_service)]


def attachment(name: str) -> dict[str, str]:
    """Return the header that makes a browser save an answer under a name."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"}
