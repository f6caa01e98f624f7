"""A server of files on this machine, as a mirror of weights may be one: whole files, parts of them, and failures."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.networks import *  # noqa: F403


class FileServer:
    """Serves ``files`` by name over HTTP, with ranges.

    Attributes:
        files: Content by name.
        requests: Headers of every request, in order.
        cut: Break the connection after so many bytes of an answer; None for never.
        ranges: Whether parts are served.
        content_type: Of the answers.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[dict[str, str]] = []
        self.cut: int | None = None
        self.ranges = True
        self.content_type = "application/octet-stream"
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:
                owner.requests.append(dict(self.headers.items()))
                content = owner.files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                tag = f'"{hashlib.md5(content).hexdigest()}"'
                wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if owner.ranges else None
                start = int(wanted[1]) if wanted and self.headers.get("If-Range") == tag else 0
                if wanted and start and start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("ETag", tag)
                self.send_header("Content-Type", owner.content_type)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                part = content[start:]
                self.wfile.write(part if owner.cut is None else part[: owner.cut])
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the server, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving; again is nothing."""
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    found = FileServer()
    yield found
    found.close()
