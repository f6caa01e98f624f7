"""Every error of the API has one body, which its description names for every status."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bedside.serve.errors import STATUSES

Start = Callable[..., Any]
FIELDS = {"kind", "what", "expected", "got", "fix", "message"}


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _bug(*_: object) -> None:
    raise ZeroDivisionError("a bug")


WAYS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "bad input": (400, "POST", "/api/images", {"json": {"path": "no/absolute/path"}}),
    "a file that is none": (400, "POST", "/api/images", {"json": {"path": "/no/such/file.nii"}}),
    "a form that cannot be read": (
        400,
        "POST",
        "/api/upload",
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
    ),
    "no token": (401, "GET", "/api/state", {"headers": {"Authorization": ""}}),
    "another site": (403, "GET", "/api/state", {"headers": {"Origin": "http://elsewhere.example"}}),
    "no such image": (404, "GET", "/api/images/99", {}),
    "no such address": (404, "GET", "/api/nothing", {}),
    "another method": (405, "DELETE", "/api/state", {}),
    "a locked object": (409, "POST", "/api/images/1/prompts", {"json": {"prompt": {}, "object": 1}}),
    "too large": (413, "POST", "/api/images", {"headers": {"Transfer-Encoding": "chunked"}, "content": iter([b"{}"])}),
    "a wrong form": (422, "POST", "/api/images", {"json": {"nonsense": 1}}),
    "no JSON": (422, "POST", "/api/images", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    "a bug": (500, "POST", "/api/sample", {}),
    "a full disk": (507, "POST", "/api/sample", {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_error_has_the_same_body(
    start: Start, picture: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    status, method, path, options = WAYS[way]
    server = start()
    fails = {"a bug": _bug, "a full disk": _full}.get(way)
    if fails is not None:
        monkeypatch.setattr("bedside.serve.routes.images.write_sample", fails)
    if way == "a locked object":
        image = server.open(picture)["image"]
        server.click(image, 12, 8)
        server.ok("PATCH", f"/api/images/{image}/objects/1", {"locked": True})
        options = {"json": {"prompt": {"kind": "point", "position": [12, 8]}, "object": 1}}
    answer: httpx.Response = server.client.request(method, path, **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    problem = json.loads(answer.content)
    assert set(problem) == FIELDS
    assert all(isinstance(problem[name], str) and problem[name] for name in ("kind", "what", "message"))
    assert "\n" not in problem["message"]
    assert "Traceback" not in answer.text
    if way == "a full disk":
        assert problem["fix"] == "free some space, or write to another place"


def test_the_description_names_this_body_for_every_status(start: Start) -> None:
    document = start().get("/api/openapi.json").json()
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == FIELDS
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert {status for status, *_ in WAYS.values()} <= set(STATUSES)
    operations = [(path, operation) for path, item in document["paths"].items() for operation in item.values()]
    assert len(operations) > 20
    for path, operation in operations:
        errors = {code: answer for code, answer in operation["responses"].items() if int(code) >= 400}
        assert {int(code) for code in errors} == set(STATUSES), path
        for answer in errors.values():
            assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}, path
