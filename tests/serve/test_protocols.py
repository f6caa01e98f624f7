"""What holds for every protocol of other programs, whichever is added."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from bedside.serve.app import HEALTH, Clients
from bedside.serve.clients import Client
from bedside.serve.errors import OtherSiteError, TokenError, TooLargeError
from bedside.serve.leases import CapacityError, LeaseError, Leases
from bedside.serve.protocol import PROTOCOLS, Desk, Limits, doors

Start = Callable[..., Any]
NAMES = PROTOCOLS.names()
SMALL = Limits(image=2**16)


def _requests(name: str, server: Any) -> list[tuple[str, str]]:
    desk = Desk(server.service, Leases(lambda: Client(server.service, "test"), 1, 1.0, 1.0), SMALL)
    routes = [route for route in PROTOCOLS.get(name).routes(desk).routes if isinstance(route, APIRoute)]
    return [(sorted(route.methods)[0], re.sub(r"/\{\w+\}$", "/*", route.path)) for route in routes]


def _nninteractive(server: Any) -> tuple[str, dict[str, str]]:
    return "/set_image", {"X-Lease-Token": server.client.post("/claim").json()["lease_token"]}


def _itksnap(server: Any) -> tuple[str, dict[str, str]]:
    session = server.client.get("/start_session").json()["session_id"]
    return f"/v2/upload_raw/{session}", {"Content-Type": "multipart/form-data; boundary=x"}


def _monailabel(server: Any) -> tuple[str, dict[str, str]]:
    return "/infer/bedside-3d", {"Content-Type": "multipart/form-data; boundary=x"}


UPLOADS = {"nninteractive": _nninteractive, "itksnap": _itksnap, "monailabel": _monailabel}
"""Where each protocol takes images, and what must stand in the headers."""


@pytest.fixture
def guarded(start: Start) -> Any:
    return start(clients=Clients(SMALL, token_needed=True))


def test_a_protocol_is_found_by_its_file_and_shares_no_path() -> None:
    assert set(NAMES) == set(UPLOADS)
    paths = [path for name in NAMES for path in PROTOCOLS.get(name).paths]
    assert len(paths) == len(set(paths)) == len(doors(SMALL, True))
    assert not any(path.startswith("/api") or path in ("/", HEALTH) for path in paths)


@pytest.mark.parametrize("name", NAMES)
def test_its_routes_are_just_its_paths(guarded: Any, name: str) -> None:
    assert sorted({path for _, path in _requests(name, guarded)}) == sorted(PROTOCOLS.get(name).paths)


@pytest.mark.parametrize("name", NAMES)
def test_nobody_without_the_token_or_from_another_site_is_answered(guarded: Any, name: str) -> None:
    problem = PROTOCOLS.get(name).problem
    for method, path in _requests(name, guarded):
        open_ = path in PROTOCOLS.get(name).open
        for headers in (
            () if open_ else ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"bedside_{guarded.port}=wrong"})
        ):
            answer = httpx.request(method, guarded.url + path, headers=headers)
            assert (answer.status_code, answer.json()) == problem(TokenError())
        answer = guarded.client.request(method, path, headers={"Origin": "https://elsewhere.example"})
        assert (answer.status_code, answer.json()) == problem(OtherSiteError("https://elsewhere.example"))
        elsewhere = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        answer = guarded.client.request(method, path, headers=elsewhere)
        assert answer.status_code == problem(OtherSiteError(""))[0]
        answer = guarded.client.request(method, path, headers={"Host": f"elsewhere.example:{guarded.port}"})
        assert answer.status_code == problem(OtherSiteError(""))[0]


@pytest.mark.parametrize("name", NAMES)
def test_without_the_token_no_more_is_told_than_how_to_send_it(guarded: Any, name: str) -> None:
    protocol = PROTOCOLS.get(name)
    assert set(protocol.open) <= set(protocol.paths)
    told = [
        httpx.request(method, guarded.url + path) for method, path in _requests(name, guarded) if path in protocol.open
    ]
    assert all(answer.status_code == 401 or answer.json().get("enabled") is True for answer in told)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("said", [True, False], ids=["said", "streamed"])
def test_no_request_is_larger_than_allowed(guarded: Any, name: str, said: bool) -> None:
    if name == "nninteractive":
        pytest.importorskip("blosc2")
    status = PROTOCOLS.get(name).problem(TooLargeError("request"))[0]
    path, headers = UPLOADS[name](guarded)
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = (form if "multipart" in headers.get("Content-Type", "") else b"") + b"x" * (SMALL.body + 1)

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 2**16):
            yield body[at : at + 2**16]

    answer = guarded.client.post(path, content=body if said else pieces(), headers=headers)
    assert answer.status_code == status, answer.text
    assert "bytes" in answer.text


@pytest.mark.parametrize("name", NAMES)
def test_each_error_is_said_in_its_form_and_a_failure_tells_nothing(name: str) -> None:
    problem = PROTOCOLS.get(name).problem
    errors = [LeaseError("none"), CapacityError(3), TokenError(), TooLargeError("image"), RuntimeError("a secret")]
    told = [problem(error) for error in errors]
    assert len({status for status, _ in told}) == len(told)
    assert all(status >= 400 for status, _ in told)
    assert len({frozenset(body) for _, body in told}) == 1
    assert "secret" not in str(told[-1])


def test_without_a_token_of_the_users_own_only_protocols_are_open(start: Start) -> None:
    server = start(clients=Clients(SMALL, token_needed=False))
    assert httpx.get(server.url + "/capabilities").status_code == 200
    assert httpx.get(server.url + "/api/state").status_code == 401
    assert httpx.get(server.url + "/capabilities", headers={"Origin": "https://elsewhere.example"}).status_code == 403


def test_a_package_that_is_missing_is_named_to_the_client(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blosc2", None)
    answer = start(clients=Clients(SMALL)).client.post("/claim")
    assert answer.status_code == 500
    assert "pip install 'bedside[clients]'" in answer.json()["detail"]


@pytest.mark.parametrize("name", NAMES)
def test_a_server_of_the_page_alone_says_what_to_start_for_clients(start: Start, tmp_path: Path, name: str) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<!doctype html><title>page</title>")
    server = start()
    asked = [*_requests(name, server), ("GET", HEALTH), ("GET", "/metrics")]
    for method, path in asked:
        answer = httpx.request(method, server.url + path.replace("*", "x"), headers={"Accept": "application/json"})
        assert answer.status_code == 404, (method, path)
        assert answer.json()["kind"] == "NotFoundError"
        assert "bedside serve" in answer.json()["fix"], (method, path)


@pytest.mark.parametrize("clients", [None, Clients(SMALL)])
def test_what_nobody_answers_is_told_to_programs_and_shown_to_people(
    start: Start, tmp_path: Path, clients: Clients | None
) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<!doctype html><title>page</title>")
    server = start(clients=clients)
    for method in ("GET", "POST", "DELETE", "HEAD"):
        answer = server.client.request(method, "/v2/else")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert method == "HEAD" or (answer.json()["what"], answer.json()["fix"]) == ("/v2/else", None)
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert "<title>page</title>" in server.client.get("/v2/else", headers=browser).text
    assert "<title>page</title>" in server.client.get("/").text


def test_health_needs_no_token_and_says_nothing_of_the_work(guarded: Any) -> None:
    answer = httpx.get(guarded.url + HEALTH)
    assert answer.status_code == 200
    assert answer.json().keys() == {"ok", "server", "ready"}
    assert answer.json()["ready"] is True


def test_other_machines_get_neither_the_page_nor_its_api(start: Start) -> None:
    server = start(clients=Clients(SMALL, token_needed=True, beyond=True))
    named = {"Host": f"scanner.example:{server.port}"}
    assert server.client.get("/capabilities", headers=named).status_code == 200
    assert httpx.get(server.url + "/capabilities", headers=named).status_code == 401
    assert server.client.get(HEALTH, headers=named).status_code == 200
    for path in ("/", "/index.html", "/api/state", "/api/openapi.json", "/api/images/1/image.nii", "/?token=x"):
        answer = server.client.get(path, headers=named)
        assert answer.status_code in (303, 404), path
        assert "set-cookie" not in answer.headers
    assert server.client.post("/api/images", json={"path": "/"}, headers=named).status_code == 404
