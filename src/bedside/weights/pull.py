"""Fetching files of weights: from a server, going on where it stopped, or from a folder that keeps copies."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside import __version__
from bedside.core.disk import storage_error
from bedside.core.errors import WeightsError
from bedside.core.files import move_into_place
from bedside.core.paths import cache_folder
from bedside.weights.card import file_sha256
from bedside.weights.catalogue import Source

MIRROR_VARIABLE = "BEDSIDE_WEIGHTS_MIRROR"
"""Environment variable that names a folder, or a server's address, where copies of published files are kept."""
SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")
BLOCK = 1 << 20
PATIENCE = 30.0
"""Seconds without a byte after which a server counts as gone."""

Advance = Callable[[int, int | None], None]
"""Called with the bytes that are there and those that there will be, None where unknown."""


@dataclass(frozen=True)
class Fetched:
    """A file of weights on this machine.

    Attributes:
        path: Where it is.
        origin: Where it came from, for the card.
        temporary: Whether it was downloaded and can be deleted once it is converted.
    """

    path: Path
    origin: str
    temporary: bool


def fetch_source(source: Source, mirror: str | Path | None = None, advance: Advance | None = None) -> Fetched:
    """Return the file of a source, from the mirror where there is one, else from its own address.

    Args:
        source: Source of the catalogue.
        mirror: Folder or server's address; by default what ``BEDSIDE_WEIGHTS_MIRROR`` says.
        advance: Told of the progress.

    Raises:
        WeightsError: The file cannot be had, or is not what the catalogue says.
    """
    chosen = str(mirror or os.environ.get(MIRROR_VARIABLE) or "")
    if source.parts:
        return _fetch_folder(source, chosen, advance)
    if chosen and not chosen.startswith(("http://", "https://")):
        path = find_copy(source, Path(chosen))
        _check_file(path, source)
        return Fetched(path, source.page, temporary=False)
    url = f"{chosen.rstrip('/')}/{source.file}" if chosen else source.url
    if url is None:
        raise WeightsError(
            f"weights of '{source.stem}' cannot be pulled",
            expected="an address to download from",
            got=f"only the page {source.page}",
            fix=f"fetch the file there by hand, then run: bedside weights import {source.model}"
            f"{f' --variant {source.variant}' if source.variant else ''} FILE",
        )
    target = cache_folder() / "downloads" / source.stem / source.file
    return Fetched(download(url, target, size=source.size, sha256=source.sha256, advance=advance), url, temporary=True)


def _fetch_folder(source: Source, chosen: str, advance: Advance | None) -> Fetched:
    """Return a folder of several files, each from the same place."""
    if chosen and not chosen.startswith(("http://", "https://")):
        folders = [Path(chosen) / source.file, Path(chosen)]
        found = next((f for f in folders if all((f / part).is_file() for part in source.parts)), None)
        if found is None:
            raise WeightsError(
                f"weights of '{source.stem}'",
                expected=f"{source.file} with {', '.join(source.parts)} in {chosen}",
                got="none" if Path(chosen).is_dir() else "no such folder",
                fix=f"it is published at {source.page}",
            )
        return Fetched(found, source.page, temporary=False)
    url = f"{chosen.rstrip('/')}/{source.file}" if chosen else source.url
    folder = cache_folder() / "downloads" / source.stem / source.file
    for part in source.parts:
        download(f"{url}/{part}", folder / part, advance=advance)
    return Fetched(folder, str(url), temporary=True)


def find_copy(source: Source, folder: Path) -> Path:
    """Return the copy of a source's file in a folder: under its own name, or under that of the weights.

    Raises:
        WeightsError: There is none.
    """
    names = [source.file, *(source.stem + suffix for suffix in SUFFIXES)]
    for name in names:
        for path in (folder / name, folder / source.model / name):
            if path.is_file():
                return path
    raise WeightsError(
        f"weights of '{source.stem}'",
        expected=f"{source.file} in {folder}",
        got="none" if folder.is_dir() else "no such folder",
        fix=f"it is published at {source.page}",
    )


def download(
    url: str, target: Path, *, size: int | None = None, sha256: str | None = None, advance: Advance | None = None
) -> Path:
    """Download a file; what an interrupted download left is gone on with.

    Until it is complete and right the file is called ``<target>.part``.

    Args:
        url: Its address, http or https.
        target: Where it is to be.
        size: Bytes that it must have.
        sha256: Checksum that it must have.
        advance: Told of the progress.

    Raises:
        WeightsError: There is no connection, the server rejects, the download stopped, or the file is another one.
    """
    if not url.startswith(("http://", "https://")):
        raise WeightsError(f"address {url}", expected="one that begins with https://")
    if target.is_file() and _is_right(target, size, sha256):
        return target
    part, tag = (target.with_name(target.name + end) for end in (".part", ".part.tag"))
    part.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(url, part, tag, size, advance)
    try:
        transfer.run()
    except urllib.error.HTTPError as error:
        raise WeightsError(f"download of {target.name}", got=f"{error.code} {error.reason} from {url}") from error
    except (OSError, http.client.HTTPException) as error:
        full = storage_error(part, error)
        if full is not None:
            raise full from error
        raise WeightsError(
            f"download of {target.name}",
            expected="a connection",
            got=f"{type(error).__name__}: {getattr(error, 'reason', None) or error}",
            fix=f"run it again: {_megabytes(transfer.have)} are kept; or fetch the file by hand from {url}",
        ) from error
    if sha256 is not None and (found := file_sha256(part)) != sha256:
        part.unlink()
        tag.unlink(missing_ok=True)
        raise WeightsError(
            f"{target.name} is not what it says", expected=f"sha256 {sha256[:12]}...", got=f"{found[:12]}..."
        )
    move_into_place(part, target)
    tag.unlink(missing_ok=True)
    return target


class _Transfer:
    """One attempt to complete a file.

    Attributes:
        have: Bytes that lie in the part file.
    """

    def __init__(self, url: str, part: Path, tag: Path, size: int | None, advance: Advance | None) -> None:
        self.have = 0
        self._url = url
        self._part = part
        self._tag = tag
        self._size = size
        self._advance = advance

    def run(self) -> None:
        """Ask for what is missing and append it.

        Raises:
            OSError: The connection failed, or ended early.
            WeightsError: The server sends something else.
        """
        validator = self._validator()
        self.have = self._part.stat().st_size if validator is not None and self._part.is_file() else 0
        try:
            response = self._open({"Range": f"bytes={self.have}-", "If-Range": validator} if self.have else {})
        except urllib.error.HTTPError as error:
            if error.code != 416 or not self.have:
                raise
            error.close()
            # Nothing is missing, or the file has become another one: the checks after it tell which.
            if error.headers.get("Content-Range") == f"bytes */{self.have}":
                return
            response = self._open({})
        with response:
            if response.status != 206:
                self.have = 0
            total = self._total(response)
            self._tag.write_text(_validator_of(response, self._url), encoding="utf-8")
            with self._part.open("ab" if self.have else "wb") as file:
                while block := response.read(BLOCK):
                    file.write(block)
                    self.have += len(block)
                    if self._advance:
                        self._advance(self.have, total)
        if total is not None and self.have != total:
            raise ConnectionError(f"{_megabytes(self.have)} of {_megabytes(total)} came")

    def _open(self, headers: dict[str, Any]) -> http.client.HTTPResponse:
        request = urllib.request.Request(self._url, headers={"User-Agent": f"bedside/{__version__}", **headers})
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE)
        return response

    def _validator(self) -> str | None:
        """Return what must not have changed on the server for the part to be gone on with."""
        try:
            url, _, validator = self._tag.read_text(encoding="utf-8").partition("\n")
        except (OSError, UnicodeDecodeError):
            return None
        return validator if url == self._url and validator else None

    def _total(self, response: http.client.HTTPResponse) -> int | None:
        if response.headers.get_content_type() == "text/html":
            raise WeightsError(
                f"download from {self._url}",
                expected="a file",
                got="a web page",
                fix="open it in a browser and fetch the file by hand, then use bedside weights import",
            )
        length = response.headers.get("Content-Length")
        total = self.have + int(length) if length and length.isdigit() else None
        if self._size is not None and total is not None and total != self._size:
            raise WeightsError(
                f"{self._part.name.removesuffix('.part')} is not what it says",
                expected=f"{self._size} bytes",
                got=total,
            )
        return total


def _validator_of(response: http.client.HTTPResponse, url: str) -> str:
    etag = response.headers.get("ETag", "")
    # A weak tag promises less than equal bytes.
    strong = etag if etag and not etag.startswith("W/") else ""
    return f"{url}\n{strong or response.headers.get('Last-Modified', '')}"


def _is_right(path: Path, size: int | None, sha256: str | None) -> bool:
    if sha256 is not None:
        return file_sha256(path) == sha256
    return size is not None and path.stat().st_size == size


def _check_file(path: Path, source: Source) -> None:
    if source.size is not None and path.stat().st_size != source.size:
        raise WeightsError(f"{path} is not what it says", expected=f"{source.size} bytes", got=path.stat().st_size)
    if source.sha256 is not None and (found := file_sha256(path)) != source.sha256:
        raise WeightsError(
            f"{path} is not what it says", expected=f"sha256 {source.sha256[:12]}...", got=f"{found[:12]}..."
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
