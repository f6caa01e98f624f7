"""What clients may take, what is counted of them, and what is logged: for every protocol, and without patient data."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside.serve.allowance import MINUTE, Allowance, QuotaError
from bedside.serve.app import Clients
from bedside.serve.logs import JsonLines
from bedside.serve.protocol import PROTOCOLS, Limits

Start = Callable[..., Any]
NAMES = PROTOCOLS.names()
ARRAY = np.full((4, 12, 16), 5, np.float32)


def _nninteractive(server: Any) -> httpx.Response:
    pytest.importorskip("blosc2")
    from bedside.serve.protocols.nninteractive import pack

    lease = server.client.post("/claim").json()["lease_token"]
    answer: httpx.Response = server.client.post(
        "/set_image", content=pack(ARRAY[None]), headers={"X-Lease-Token": lease}
    )
    return answer


def _itksnap(server: Any) -> httpx.Response:
    import gzip

    session = server.client.get("/start_session").json()["session_id"]
    answer: httpx.Response = server.client.post(
        f"/v2/upload_raw/{session}",
        files={"file": ("image", gzip.compress(ARRAY.astype("<f4").tobytes()))},
        data={"metadata": json.dumps({"dimensions": [16, 12, 4]})},
    )
    return answer


def _monailabel(server: Any) -> httpx.Response:
    import nibabel

    body = nibabel.Nifti1Image(ARRAY.T, np.eye(4)).to_bytes()
    answer: httpx.Response = server.client.put("/session/", files={"files": ("Quixote.nii", body)})
    return answer


SENDS = {"nninteractive": _nninteractive, "itksnap": _itksnap, "monailabel": _monailabel}
"""Sends an image of 3072 bytes as each protocol does."""


def values(text: str) -> dict[str, float]:
    """The samples of a text in Prometheus' format, each of which was announced by its name."""
    found = {}
    announced: set[str] = set()
    for line in text.splitlines():
        if line.startswith("#"):
            announced.add(line.split()[2])
            continue
        match = re.fullmatch(r'([a-z_]+)((?:\{(?:[a-z]+="[^"]*",?)+\})?) ([0-9.e+-]+)', line)
        assert match, line
        assert match[1] in announced or re.sub("_(bucket|sum|count)$", "", match[1]) in announced
        found[match[1] + match[2]] = float(match[3])
    return found


@given(amounts=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60)), max_size=30), most=st.integers(1, 30))
def test_no_minute_holds_more_than_is_allowed(amounts: list[tuple[int, int]], most: int) -> None:
    now = 0.0
    allowance = Allowance({"prompts": most}, clock=lambda: now)
    taken: list[tuple[float, int]] = []
    for wait, amount in amounts:
        now += wait
        lately = [n for when, n in taken if now - when < MINUTE]
        try:
            allowance.take(prompts=amount, images=1)
        except QuotaError:
            assert sum(lately) + amount > most
            continue
        taken.append((now, amount))
        assert not lately or sum(lately) + amount <= most


def test_all_kinds_are_taken_or_none() -> None:
    allowance = Allowance({"images": 5, "bytes": 10})
    allowance.take(images=1, bytes=10)
    with pytest.raises(QuotaError, match="at most 10 a minute"):
        allowance.take(images=1, bytes=1)
    allowance.take(images=4)
    assert not allowance.idle


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quota", [{"images": 1}, {"bytes": 4000}])
def test_more_images_than_allowed_are_rejected_in_its_form(start: Start, name: str, quota: Any) -> None:
    server = start(clients=Clients(Limits(quota=quota), token_needed=True))
    first, second = SENDS[name](server), SENDS[name](server)
    assert first.is_success, first.text
    status, body = PROTOCOLS.get(name).problem(QuotaError("images", 1, 60.0))
    assert (second.status_code, list(second.json())) == (status, list(body)) == (429, list(body))
    assert "a minute" in second.text


def test_more_prompts_than_allowed_are_rejected_and_change_nothing(start: Start) -> None:
    server = start(clients=Clients(Limits(quota={"prompts": 2}), token_needed=True))
    session = _monailabel(server).json()["session_id"]

    def click(x: int) -> httpx.Response:
        params = {"params": json.dumps({"foreground": [[x, 5, 2]]})}
        answer: httpx.Response = server.client.post(f"/infer/bedside-3d?session_id={session}", data=params)
        return answer

    assert [click(x).status_code for x in (3, 4, 5)] == [200, 200, 429]
    (image,) = server.ok("GET", "/api/images")["images"]
    assert [one["prompts"] for one in image["objects"]] == [1, 1]


def test_counts_are_told_with_the_token_and_tell_nothing_of_the_patient(start: Start) -> None:
    server = start(clients=Clients(Limits(), token_needed=True))
    for name in NAMES:
        assert SENDS[name](server).is_success
    assert httpx.get(server.url + "/metrics").status_code == 401
    assert server.client.get("/datastore/image?image=Quixote").status_code == 404
    answer = server.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "Quixote" not in answer.text
    found = values(answer.text)
    for name in NAMES:
        told = f'{{protocol="{name}"}}'
        assert found[f"bedside_images_total{told}"] == 1
        assert found[f"bedside_image_bytes_total{told}"] == ARRAY.nbytes
        assert found[f"bedside_leases{told}"] == 1
        assert found[f"bedside_received_bytes_total{told}"] > 0
        edges = [v for k, v in found.items() if k.startswith("bedside_request_seconds_bucket") and name in k]
        assert edges == sorted(edges)
        assert edges[-1] == found[f"bedside_request_seconds_count{told}"]
    assert found['bedside_requests_total{protocol="monailabel",status="200"}'] == 1
    assert found['bedside_requests_total{protocol="monailabel",status="404"}'] == 1
    assert found['bedside_requests_total{protocol="/metrics",status="401"}'] == 1
    assert found["bedside_uploads_bytes"] == 0
    assert found["bedside_images_open"] >= 1
    assert found["process_resident_memory_bytes"] >= 0


@pytest.mark.parametrize("name", NAMES)
def test_all_clients_together_send_no_more_than_there_is_room_for(start: Start, name: str) -> None:
    server = start(clients=Clients(Limits(held=64), token_needed=True))
    answer = SENDS[name](server)
    assert answer.status_code == 429, answer.text
    assert "try again" in answer.text
    # What was on its way is forgotten.
    assert values(server.client.get("/metrics").text)["bedside_uploads_bytes"] == 0


def test_a_body_that_does_not_come_is_not_waited_for(start: Start) -> None:
    server = start(clients=Clients(Limits(patience=0.2), token_needed=False))
    head = (
        f"PUT /session/ HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 1000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head.encode())
        told = b""
        while not told.endswith(b"}"):
            told += connection.recv(4096)
    assert told.startswith(b"HTTP/1.1 408")
    assert json.loads(told.partition(b"\r\n\r\n")[2])["detail"].startswith("request: expected a body that comes")


def test_lines_of_the_log_tell_nothing_of_the_patient(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="bedside.serve"):
        server = start(clients=Clients(Limits(), token_needed=True))
        assert _monailabel(server).is_success
        server.client.get("/session/Quixote")
        server.client.get("/datastore/image?image=Quixote")
        try:
            raise ValueError("Quixote")
        except ValueError as error:
            logging.getLogger("bedside.serve").error("%s", error)
            logging.getLogger("bedside.serve").exception("%s failed", "Quixote")
            logging.getLogger("another.library").error(f"cannot read {error}")
        deadline = time.monotonic() + 20
        while sum(record.msg == "request" for record in caplog.records) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    lines = [JsonLines().format(record) for record in caplog.records]
    told = [json.loads(line) for line in lines]
    assert not [line for line in lines if "Quixote" in line or "\n" in line]
    requests = [(one["method"], one["path"], one["status"]) for one in told if one["event"] == "request"]
    assert requests == [("PUT", "/session/", 200), ("GET", "/session/*", 404), ("GET", "/datastore/image", 404)]
    assert [one["error"] for one in told if "error" in one] == ["ValueError", "ValueError"]
    assert all({"time", "level", "logger", "event"} <= one.keys() for one in told)
