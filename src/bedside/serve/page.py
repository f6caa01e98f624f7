"""The built page: files of a folder, served without a framework so that they are there before it is imported."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from bedside.serve.security import Receive, Scope, Send

FOLDER = Path(__file__).parent / "page"
"""Where ``make ui`` puts the page."""
MISSING_HINT = "the page is not built yet; run: make ui"

_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws: data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""What the page may load: nothing from elsewhere, so that an image's name cannot bring a script along."""
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# The system's own table may say anything of these.
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".wasm": "application/wasm"}
_HINT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bedside</title></head>
<body><h1>Bedside</h1><p>The page is not built yet. In the repository run: <code>make ui</code></p>
<p>The server is running; its interface is described at <a href="/api/openapi.json">/api/openapi.json</a>.</p>
</body></html>
"""


def is_built(folder: Path = FOLDER) -> bool:
    """Return whether there is a page to serve."""
    return (folder / "index.html").is_file()


class Page:
    """Serves the files of a folder; a browser that is led to an address without a suffix gets its index.

    Args:
        folder: The built page.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder.resolve()

    def serves(self, scope: Scope) -> bool:
        """Return whether a request is one for the page: its files, or an address that a person opens in a browser."""
        # Programs ask for JSON or for anything: a page would look to them like success.
        accepted = b", ".join(value for name, value in scope["headers"] if name == b"accept")
        opened = scope["method"] == "GET" and b"text/html" in accepted
        return scope["path"] == "/" or opened or self._file(scope["path"]) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"only GET\n", "text/plain")
            return
        path = self._file(scope["path"]) or self._index(scope["path"])
        if path is not None:
            # Names of built files hold a hash of their content; the index must be asked for again.
            lasting = path.parent.name == "assets"
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            await _answer(send, 200, path.read_bytes(), kind, lasting, scope["method"] == "HEAD")
        elif not is_built(self._folder):
            await _answer(send, 200 if scope["path"] == "/" else 404, _HINT.encode(), "text/html; charset=utf-8")
        else:
            await _answer(send, 404, b"not found\n", "text/plain")

    def _file(self, path: str) -> Path | None:
        name = path.lstrip("/")
        try:
            found = (self._folder / (name or "index.html")).resolve()
            if found.is_relative_to(self._folder) and found.is_file():
                return found
        except (OSError, ValueError):
            # Longer than names may be, or with a zero byte.
            return None
        return None

    def _index(self, path: str) -> Path | None:
        index = self._folder / "index.html"
        return index if "." not in path and index.is_file() else None


async def _answer(
    send: Send, status: int, body: bytes, kind: str, lasting: bool = False, only_headers: bool = False
) -> None:
    if kind in ("text/html", "text/javascript", "text/css"):
        kind += "; charset=utf-8"
    cache = b"public, max-age=31536000, immutable" if lasting else b"no-cache"
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", cache),
        *_HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if only_headers else body})
