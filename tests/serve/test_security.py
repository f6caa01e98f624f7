from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.serve.security import Guard, _joined

Start = Callable[..., Any]


@pytest.fixture
def anyone(start: Start) -> Any:
    """Asks without a token; names of hosts may hold {port}."""
    server = start()

    def ask(path: str, method: str = "GET", **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value.format(port=server.port) for name, value in headers.items()}
        return httpx.request(method, server.url + path, headers=given)

    ask.server = server  # type: ignore[attr-defined]
    return ask


def test_the_opened_address_lets_in_by_a_cookie(anyone: Any) -> None:
    server = anyone.server
    opened = anyone("/?token=a-token-for-tests-only&image=3")
    assert (opened.status_code, opened.headers["location"]) == (303, "/?image=3")
    cookie = opened.headers["set-cookie"]
    assert cookie.startswith(f"bedside_{server.port}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert anyone("/api/state", Cookie=cookie.split(";")[0]).status_code == 200


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";,"), max_size=20)))
def test_cookies_of_other_programs_lock_nobody_out(others: list[str]) -> None:
    # All programs on this host share their cookies, odd ones of any kind among them.
    guard = Guard(lambda *_: None, 8000, "secret")  # type: ignore[arg-type, return-value]
    for place in range(len(others) + 1):
        cookies = [*others[:place], "bedside_8000=secret", *others[place:]]
        assert guard._has_token({"cookie": "; ".join(cookies)})
        assert guard._has_token(_joined([(b"cookie", cookie.encode()) for cookie in cookies]))
    assert not guard._has_token({"cookie": "; ".join(o for o in others if o != "bedside_8000=secret")})


def test_a_line_break_in_the_address_is_no_failure(anyone: Any) -> None:
    for path in ("/%0d%0aa?token=a-token-for-tests-only", "/?token=a%0d%0ab", "/?token=a-token-for-tests-only&a=%0ab"):
        answer = anyone(path)
        assert answer.status_code == 303
        assert answer.headers["location"].isprintable()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Cookie": "bedside_{port}=wrong"},
        {"Cookie": "bedside_1=a-token-for-tests-only"},
        {"Cookie": "==;;"},
        {"Authorization": "Bearer \u00e9"},
    ],
)
def test_nothing_of_the_api_is_told_without_the_token(anyone: Any, headers: dict[str, str]) -> None:
    port = str(anyone.server.port)
    raw = {name: value.replace("{port}", port).encode() for name, value in headers.items()}
    for path in ("/api/state", "/api/images/1/image.nii", "/api/nothing", "/api"):
        answer = httpx.get(anyone.server.url + path, headers=raw)
        assert answer.status_code == 401
        assert "bedside ui" in answer.json()["fix"]


def test_a_wrong_token_sets_no_cookie_and_tells_nothing(anyone: Any) -> None:
    answer = anyone("/?token=wrong")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["//evil.example/?token=x", "/\\evil.example/?token=x"])
def test_the_token_cannot_be_used_to_leave_the_server(anyone: Any, path: str) -> None:
    location = anyone(path).headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:port"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ],
)
def test_other_sites_are_rejected_even_with_the_token(anyone: Any, headers: dict[str, str]) -> None:
    answer = anyone("/api/state", Authorization="Bearer a-token-for-tests-only", **headers)
    assert answer.status_code == 403
    assert answer.json()["kind"] == "OtherSiteError"
    assert anyone("/", **headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:{port}"},
        {"Host": "localhost:{port}", "Origin": "http://localhost:{port}"},
        {"Host": "[::1]:{port}"},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"},
    ],
)
def test_our_own_page_may_ask(anyone: Any, headers: dict[str, str]) -> None:
    assert anyone("/api/state", Authorization="Bearer a-token-for-tests-only", **headers).status_code == 200


def test_a_link_from_elsewhere_may_open_the_page(anyone: Any) -> None:
    answer = anyone("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert answer.status_code == 200


def test_the_interface_is_published(anyone: Any) -> None:
    document = anyone("/api/openapi.json").json()
    assert document["info"]["title"] == "Bedside"
    assert "/api/images/{image}/prompts" in document["paths"]
    assert "Change" in document["components"]["schemas"]


def test_bodies_that_are_too_large_are_rejected_before_they_are_read(start: Start) -> None:
    server = start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/api/images")
    connection.putheader("Authorization", "Bearer a-token-for-tests-only")
    connection.putheader("Content-Length", str(2**30))
    connection.endheaders()
    large = connection.getresponse()
    assert large.status == 413
    assert json.loads(large.read())["kind"] == "TooLargeError"
    connection.close()
    endless = server.client.post("/api/images", content=iter([b"{}"]))
    assert endless.status_code == 413


def test_unknown_addresses_are_problems_too(start: Start) -> None:
    server = start()
    assert server.rejected("GET", "/api/nothing", 404)["kind"] == "NotFoundError"
    assert server.rejected("DELETE", "/api/state", 405)["kind"] == "MethodError"
