"""The command as those start it who have clients of other programs: a real server in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals processes")
TOKEN = "token-of-the-tests-of-serve"
SHAPE = (8, 40, 48)


class Started:
    """A running ``bedside serve``."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        command = [sys.executable, "-m", "bedside.cli.main", "serve", "--port", "0", *arguments]
        kept = {"BEDSIDE_WORKSPACE": str(folder / "w.sqlite"), **os.environ}
        self.process = subprocess.Popen(
            command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline()]
        found = re.fullmatch(r"Bedside serves clients at (https?://[^/]*?:(\d+))/\n", self.lines[0])
        assert found, (self.lines, self.process.stderr and self.process.stderr.read())
        while "Ctrl+C" not in self.lines[-1]:
            self.lines.append(self.process.stdout.readline())
            assert self.lines[-1]
        self.address, self.port = found[1], int(found[2])
        self.url = self.address.replace("0.0.0.0", "127.0.0.1")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; the exit status and what was said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    running: list[Started] = []

    def begin(*arguments: str | Path) -> Started:
        running.append(Started([str(a) for a in arguments], tmp_path))
        return running[-1]

    yield begin
    for started in running:
        if started.process.poll() is None:
            started.process.kill()
        for stream in (started.process.stdout, started.process.stderr):
            if stream is not None:
                stream.close()
        started.process.wait(10)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token.txt"
    path.write_text(f"{TOKEN}\n")
    return path


def ask(url: str, **options: Any) -> httpx.Response:
    """GET, with patience for a server that is just starting on a busy machine."""
    return httpx.get(url, timeout=60, **options)


def _volume() -> NDArray[np.int16]:
    array = np.full(SHAPE, -900, np.int16)
    array[2:6, 10:30, 12:36] = 60
    return array


@contextlib.contextmanager
def connected(url: str, token: str | None = None) -> Iterator[Any]:
    """A client of nnInteractive's with an image, and its buffer."""
    remote = pytest.importorskip("nnInteractive.inference.remote")
    with remote.nnInteractiveRemoteInferenceSession(url, api_key=token) as session:
        session.set_image(_volume()[None], {"spacing": [3.0, 0.7, 0.7]})
        session.set_target_buffer(np.zeros(SHAPE, np.uint8))
        yield session


def _click(session: Any) -> NDArray[np.uint8]:
    session.add_point_interaction([4, 20, 24], True)
    mask: NDArray[np.uint8] = session.target_buffer
    assert mask.any()
    return mask


def test_a_request_under_way_is_answered_before_the_end_and_the_work_is_there_afterwards(
    start: Callable[..., Started], token_file: Path
) -> None:
    first = start("--token-file", token_file)
    with connected(first.url, TOKEN) as session:
        time.sleep(0.2)
        # Whatever the user does moves the end of the lease away: so it is seen that the server has the request.
        idle = session.lease_status()["remaining_seconds"]
        answers: list[NDArray[np.uint8]] = []
        asking = threading.Thread(target=lambda: answers.append(_click(session)))
        asking.start()
        for _ in range(1000):
            if not asking.is_alive() or session.lease_status()["remaining_seconds"] > idle:
                break
            time.sleep(0.01)
        status, said = first.end(signal.SIGTERM)
        asking.join(60)
        assert (status, "Traceback" in said) == (0, False), said
        assert len(answers) == 1
    second = start("--token-file", token_file)
    client = httpx.Client(base_url=second.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    with client:
        recent = client.get("/api/state").json()["recent"]
        assert [item["objects"] for item in recent] == [1]
        image = client.post(f"/api/worklist/{recent[0]['item']}/open").json()
        assert image["objects"][0]["voxels"] == int(answers[0].sum())
        assert image["spacing"] == [0.7, 0.7, 3.0]
    assert second.end()[0] == 0


def test_on_this_machine_no_token_is_asked_of_clients_but_of_the_page(start: Callable[..., Started]) -> None:
    started = start()
    assert ask(f"{started.url}/capabilities").status_code == 200
    assert ask(f"{started.url}/api/state").status_code == 401
    page = next(line for line in started.lines if "The page is at" in line).split()[-1]
    assert ask(page).status_code == 303
    assert ask(f"{started.url}/healthz").json()["ok"] is True
    with connected(started.url) as session:
        _click(session)
    status, said = started.end(signal.SIGINT)
    assert (status, "Traceback" in said) == (0, False)


def test_other_machines_need_the_token_and_get_no_page(start: Callable[..., Started], token_file: Path) -> None:
    started = start("--host", "0.0.0.0", "--token-file", token_file)
    assert TOKEN not in "".join(started.lines)
    assert ask(f"{started.url}/capabilities").status_code == 401
    given = {"Authorization": f"Bearer {TOKEN}", "Host": "workstation.example"}
    assert ask(f"{started.url}/capabilities", headers=given).status_code == 200
    assert ask(f"{started.url}/", headers=given).status_code == 404
    assert ask(f"{started.url}/api/state", headers=given).status_code == 404
    with connected(started.url, TOKEN) as session:
        _click(session)
    status, said = started.end()
    assert status == 0
    assert "without --tls-cert others on the network can read" in said


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_with_a_certificate_only_https_is_spoken(
    start: Callable[..., Started], token_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    started = start("--tls-cert", certificate, "--tls-key", key, "--token-file", token_file)
    assert started.url.startswith("https://")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with connected(started.url, TOKEN) as session:
        _click(session)
    opened = ask(f"{started.url}/?token={TOKEN}")
    assert opened.status_code == 303
    assert "Secure" in opened.headers["set-cookie"]
    assert ask(f"{started.url}/healthz", headers={"Origin": started.url}).status_code == 200
    with pytest.raises(httpx.HTTPError):
        ask(started.url.replace("https", "http") + "/healthz")


def test_what_cannot_be_started_is_rejected_in_one_line(tmp_path: Path, token_file: Path) -> None:
    def rejected(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "bedside.cli.main", "serve", "--port", "0", *map(str, arguments)]
        kept = {**os.environ, "BEDSIDE_WORKSPACE": str(tmp_path / "w.sqlite")}
        ended = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.startswith("bedside: error: ")
        assert ended.stderr.count("\n") == 1
        assert ended.stdout == ""
        return ended.stderr

    short, text = tmp_path / "short.txt", tmp_path / "notes.txt"
    short.write_text("abc")
    text.write_text("no certificate")
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        assert "add --token-file FILE" in rejected("--host", host)
    assert "expected a file to read" in rejected("--token-file", tmp_path / "missing.txt")
    assert "at least 16 letters and digits" in rejected("--token-file", short)
    assert "expected an address of this machine" in rejected("--host", "192.0.2.1", "--token-file", token_file)
    assert "expected --tls-cert with it" in rejected("--tls-key", text)
    assert "expected a certificate and its key" in rejected("--tls-cert", text)
    assert "--tls-cert" in rejected("--tls-cert", tmp_path / "missing.pem")
    assert "nothing there" in rejected(tmp_path / "missing.nii.gz")
    assert "did you mean 'bedside-2d'" in rejected("--model", "bedside-2")
    assert not (tmp_path / "w.sqlite").exists()
