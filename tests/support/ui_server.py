"""``bedside ui`` and ``bedside serve`` as processes of their own, as programs start them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

SOURCE = Path(__file__).parents[2] / "src"


@contextmanager
def running_ui(folder: Path, port: int = 0) -> Iterator[dict[str, Any]]:
    """Start a server whose workspace, token and cache lie in a folder; yield the line of JSON that it prints."""
    command = [sys.executable, "-m", "bedside", "ui", "--no-browser", "--port", str(port), "--json"]
    command += ["--token-file", str(folder / "token"), "--workspace", str(folder / "work.sqlite")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def running_serve(folder: Path) -> Iterator[str]:
    """Start ``bedside serve`` with the token in the folder's file "token"; yield its address once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bedside", "serve", "--port", str(port), "--token-file", str(folder / "token")]
    command += ["--workspace", str(folder / "work.sqlite")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(folder / "cache")}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 120
        ready = False
        while not ready:
            assert process.poll() is None
            assert time.monotonic() < until
            with suppress(httpx.HTTPError):
                ready = httpx.get(f"{url}/healthz").json()["ready"]
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=60)
