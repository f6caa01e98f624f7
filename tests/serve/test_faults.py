"""What a system or a damaged file does to the server: each time one line that says what is wrong, and never a 500."""

from __future__ import annotations

import errno
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bedside.core.errors import InputError
from bedside.serve import places
from bedside.serve.places import DEEPEST, find_images, safe_relative

Start = Callable[..., Any]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "path",
    [
        "~nobody-of-this-name/scan.nii",
        "~nobody-of-this-name",
        "scan.nii",
        "/a\0b",
        "/" + "a" * 300,
        "/" + "a" * 4000,
        "/a" * 2000,
        "/" + "ü" * 200 + ".zip",
    ],
    ids=lambda path: repr(path)[:20],
)
def test_paths_that_name_nothing_are_rejected(start: Start, path: str) -> None:
    server = start()
    assert server.rejected("POST", "/api/images", 400, {"path": path})["kind"] != "InternalError"
    assert server.ok("GET", "/api/worklist")["items"] == []


@pytest.mark.parametrize("path", ["/" + "a" * 300, "/" + "a/" * 3000, "/" + "a" * 300 + ".js", "/%00", "/a%00.js"])
def test_the_page_has_no_address_that_fails(start: Start, path: str) -> None:
    # Before anybody asks for the token.
    assert httpx.get(start().url + path).status_code in (200, 404)


METHODS = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA, "stored": 0}


@pytest.mark.parametrize("method", METHODS)
def test_a_member_that_is_damaged_is_told_of(start: Start, tmp_path: Path, method: str) -> None:
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w", METHODS[method]) as archive:
        archive.writestr("a.raw", np.random.default_rng(0).integers(0, 4, 3000).astype(np.uint8).tobytes())
    content = bytearray(path.read_bytes())
    server = start()
    for place in (50, 60, 200, 400, 600):
        damaged = bytearray(content)
        damaged[place : place + 20] = bytes(255 - b for b in damaged[place : place + 20])
        path.write_bytes(damaged)
        assert "can be unpacked" in server.rejected("POST", "/api/images", 400, {"path": str(path)})["message"]
    assert [p for p in server.service.folder.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("count", [DEEPEST, 1200])
def test_folders_in_folders_without_end_are_rejected(start: Start, tmp_path: Path, count: int) -> None:
    name = "a/" * count + "scan.png"
    with pytest.raises(InputError, match=f"at most {DEEPEST} folders"):
        safe_relative(name)
    path = tmp_path / "deep.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    server = start()
    assert "folders" in server.rejected("POST", "/api/images", 400, {"path": str(path)})["message"]
    answer = server.client.post("/api/upload", files=[("files", (name, b"x"))])
    assert answer.status_code == 400


def test_a_folder_is_looked_through_to_a_depth(tmp_path: Path, picture: Path) -> None:
    deep = tmp_path / "root"
    near = deep.joinpath(*["a"] * (DEEPEST - 1))
    near.mkdir(parents=True)
    (near / "near.png").write_bytes(picture.read_bytes())
    far = near / "a" / "a"
    far.mkdir(parents=True)
    (far / "far.png").write_bytes(picture.read_bytes())
    assert [place.path.name for place in find_images(deep)] == ["near.png"]


def test_a_full_disk_ends_an_upload_in_one_line(
    start: Start, tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise FULL

    server = start()
    files = [("files", ("a.png", picture.read_bytes()))]
    with monkeypatch.context() as patch:
        patch.setattr("bedside.serve.routes.sent.copy_limited", full)
        patch.setattr(places, "copy_limited", full)
        answer = server.client.post("/api/upload", files=files)
        assert (answer.status_code, answer.json()["kind"]) == (507, "StorageError")
        assert "free some space" in answer.json()["fix"]
        with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
            archive.write(picture, "a.png")
        assert server.rejected("POST", "/api/images", 507, {"path": str(tmp_path / "scan.zip")})["fix"]
    # While the request is taken in, before any of our own code.
    with monkeypatch.context() as patch:
        patch.setattr(tempfile.SpooledTemporaryFile, "write", full)
        assert server.client.post("/api/upload", files=files).status_code == 507
    assert [p for p in server.service.folder.rglob("*") if p.is_file()] == []
    assert server.client.post("/api/upload", files=files).status_code == 200


@pytest.mark.parametrize("spacing", ["1e39 1 1", "1 1e-46 1", "1e300 1 1"])
def test_a_spacing_that_no_page_can_be_told_is_rejected(start: Start, tmp_path: Path, spacing: str) -> None:
    header = "NDims = 3\nDimSize = 2 3 4\nElementType = MET_UCHAR\nElementSpacing = {}\nElementDataFile = LOCAL\n"
    path = tmp_path / "scan.mha"
    path.write_bytes(header.format(spacing).encode() + bytes(24))
    assert "spacing" in start().rejected("POST", "/api/images", 400, {"path": str(path)})["message"]
