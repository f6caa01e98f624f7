"""A server's images: open, send, list, close."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from bedside.client.choices import choices_told
from bedside.client.connection import Connection
from bedside.client.session import RemoteSession
from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.io import write_image

CHUNK = 2**20
TOKEN_VARIABLE = "BEDSIDE_TOKEN"
_LONGEST_NAME = 60
LONGEST = 900.0
"""Seconds to wait for a response: more than a server allows for a prediction."""


class Client:
    """A running ``bedside ui``, or the page's side of ``bedside serve`` on this machine.

    Args:
        address: As "http://127.0.0.1:8765"; the address that the command prints, with its token, will do.
        token: Secret of the server's start; by default the one in the address, the file's or that of the environment
            variable BEDSIDE_TOKEN.
        token_file: What was given as ``--token-file``.
        timeout: Seconds to wait for a response.

    Attributes:
        version: Version of Bedside on the server.

    Raises:
        InputError: No token is given, or nothing of Bedside answers at the address.
        BedsideError: It is another token than the server's.

    Example:
        >>> with Client("http://127.0.0.1:8765", token_file="token") as server:  # doctest: +SKIP
        ...     session = server.open("scan.nii.gz")
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        token_file: str | Path | None = None,
        timeout: float = LONGEST,
    ) -> None:
        self._connection = Connection(address, _token_of(address, token, token_file), timeout)
        try:
            self.version = str(self._connection.ask("GET", "/api/state")["version"])
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """End the connection; the images stay open there, with all that was done."""
        self._connection.close()

    def open(self, path: str | Path, *, series: str | None = None, volume: int | None = None) -> RemoteSession:
        """Open an image by its path on the server's machine, which is this one; work of before is there again.

        Args:
            path: A file, or a folder of DICOM slices.
            series: Which DICOM series, where there are several.
            volume: Which volume of a 4D file, from 0.

        Raises:
            FormatError: It cannot be read.
            ChoiceError: It holds several images and none was chosen.
        """
        asked: dict[str, Any] = {"path": str(Path(path).absolute())}
        asked.update({name: value for name, value in (("series", series), ("volume", volume)) if value is not None})
        with choices_told(self._connection, asked["path"]):
            return RemoteSession(self._connection, self._connection.ask("POST", "/api/images", asked))

    def upload(self, path: str | Path) -> RemoteSession:
        """Send an image to the server and open it.

        Args:
            path: A file, or a folder whose files are the slices of one DICOM series.

        Raises:
            FormatError: There is no such file, or it cannot be read as an image.
            ChoiceError: It holds several images; the message says how to open one.
        """
        place = Path(path)
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        if not files or not files[0].exists():
            raise FormatError(f"{path}", expected="an existing file or folder", got="nothing there")
        home = place if place.is_dir() else place.parent
        body = _Form([(file.relative_to(home).as_posix(), file) for file in files])
        with choices_told(self._connection):
            content, _ = self._connection.fetch("POST", "/api/upload", body, body.headers)
        return RemoteSession(self._connection, json.loads(content))

    def send(self, image: Image, name: str = "image") -> RemoteSession:
        """Send an image from memory and open it; of one that was sent before, the work is there again.

        Args:
            image: Its samples and grid are sent, and nothing else that is known of it.
            name: What it is called in the page.

        Raises:
            FormatError: It is of a dtype that no file holds.
        """
        # MetaImage keeps every digit of a spacing that is known; the others say that none is.
        unknown = ".npz" if image.is_colour else ".nii"
        with TemporaryDirectory(prefix="bedside-") as folder:
            plain = "".join(c if c.isalnum() or c in " -_" else "-" for c in name)[:_LONGEST_NAME].strip(" -")
            path = Path(folder) / f"{plain or 'image'}{'.mha' if image.geometry.spacing_known else unknown}"
            write_image(path, image)
            return self.upload(path)

    def images(self) -> tuple[RemoteSession, ...]:
        """Return the images that are open on the server."""
        found = self._connection.ask("GET", "/api/images")["images"]
        return tuple(RemoteSession(self._connection, info) for info in found)

    def models(self) -> tuple[str, ...]:
        """Return the names of the models that the server knows."""
        return tuple(model["name"] for model in self._connection.ask("GET", "/api/models")["models"])


def _token_of(address: str, token: str | None, file: str | Path | None) -> str:
    if token is None and file is not None:
        try:
            token = Path(file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"token_file {file}", expected="a file with a token", got=str(error)) from error
    if token is None:
        _, given, rest = urlsplit(address).query.partition("token=")
        token = rest.partition("&")[0] if given else os.environ.get(TOKEN_VARIABLE)
    token = (token or "").strip()
    if token and not (token.isascii() and token.isprintable()):
        # What was given is not repeated: it may be a secret.
        raise InputError("token", expected="letters and digits", got="another text")
    if not token:
        fix = "give token=, token_file= or the whole address that 'bedside ui' prints"
        raise InputError("token", expected="the token of the server's start", got="none", fix=fix)
    return token


class _Form:
    """Files as multipart/form-data (RFC 7578), read while they are sent.

    Args:
        files: Name and place of each.
    """

    def __init__(self, files: list[tuple[str, Path]]) -> None:
        self._mark = secrets.token_hex(16)
        self._files = files
        self._end = f"--{self._mark}--\r\n".encode()
        size = sum(len(self._head(name)) + file.stat().st_size + 2 for name, file in files) + len(self._end)
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={self._mark}",
            "Content-Length": str(size),
        }

    def _head(self, name: str) -> bytes:
        # As browsers do: quotes and line breaks of a name would end the header.
        safe = name.replace("%", "%25").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        disposition = f'Content-Disposition: form-data; name="files"; filename="{safe}"'
        return f"--{self._mark}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()

    def __iter__(self) -> Iterator[bytes]:
        for name, file in self._files:
            yield self._head(name)
            with file.open("rb") as source:
                while piece := source.read(CHUNK):
                    yield piece
            yield b"\r\n"
        yield self._end
