"""Downloads that stop and go on, files that are not what they say, and copies in folders."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.core.errors import WeightsError
from bedside.weights import pull
from bedside.weights.catalogue import Source
from bedside.weights.pull import MIRROR_VARIABLE, download, fetch_source, find_copy

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    # Small blocks, so that a broken connection leaves a part.
    monkeypatch.setattr(pull, "BLOCK", 10_000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "weights.pth"


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def source(**changes: Any) -> Source:
    fields = {"model": "lite-medsam", "file": "w.pth", "page": "https://example.org/page", "licence": "MIT", **changes}
    return Source(**fields)


def test_a_file_is_downloaded_and_checked(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT
    told: list[tuple[int, int | None]] = []
    path = download(f"{server.url}/w.pth", target, size=len(CONTENT), sha256=SHA256, advance=lambda *a: told.append(a))
    assert path == target
    assert path.read_bytes() == CONTENT
    assert leftovers(target) == ["weights.pth"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert "Range" not in server.requests[0]


def test_a_file_that_is_there_is_not_downloaded_again(server: Any, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    download(f"{server.url}/w.pth", target, sha256=SHA256)
    assert server.requests == []


def test_a_download_goes_on_where_it_stopped(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT
    server.cut = 123_456
    with pytest.raises(WeightsError, match=r"run it again: 0\.1 MB are kept") as error:
        download(f"{server.url}/w.pth", target, sha256=SHA256)
    assert "\n" not in str(error.value)
    assert leftovers(target) == ["weights.pth.part", "weights.pth.part.tag"]
    assert (target.parent / "weights.pth.part").read_bytes() == CONTENT[:123_456]
    server.cut = None
    assert download(f"{server.url}/w.pth", target, sha256=SHA256).read_bytes() == CONTENT
    assert server.requests[1]["Range"] == "bytes=123456-"
    assert leftovers(target) == ["weights.pth"]


def test_a_download_that_stops_again_and_again_gets_there(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT
    server.cut = 100_001
    for _ in range(2):
        with pytest.raises(WeightsError, match="run it again"):
            download(f"{server.url}/w.pth", target, size=len(CONTENT))
    assert download(f"{server.url}/w.pth", target, size=len(CONTENT)).read_bytes() == CONTENT
    assert [r.get("Range") for r in server.requests] == [None, "bytes=100001-", "bytes=200002-"]


def test_a_file_that_changed_meanwhile_is_downloaded_anew(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT[::-1]
    server.cut = 50_000
    with pytest.raises(WeightsError):
        download(f"{server.url}/w.pth", target)
    server.files["w.pth"], server.cut = CONTENT, None
    assert download(f"{server.url}/w.pth", target, sha256=SHA256).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT
    server.cut = 50_000
    with pytest.raises(WeightsError):
        download(f"{server.url}/w.pth", target)
    server.ranges, server.cut = False, None
    assert download(f"{server.url}/w.pth", target, sha256=SHA256).read_bytes() == CONTENT


def test_a_complete_part_needs_its_name_only(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT
    server.cut = 50_000
    with pytest.raises(WeightsError):
        download(f"{server.url}/w.pth", target)
    (target.parent / "weights.pth.part").write_bytes(CONTENT)
    server.cut = None
    assert download(f"{server.url}/w.pth", target, sha256=SHA256).read_bytes() == CONTENT


def test_the_part_of_another_address_is_not_gone_on_with(server: Any, target: Path) -> None:
    server.files.update({"a.pth": CONTENT[::-1], "w.pth": CONTENT})
    server.cut = 50_000
    with pytest.raises(WeightsError):
        download(f"{server.url}/a.pth", target)
    server.cut = None
    assert download(f"{server.url}/w.pth", target, sha256=SHA256).read_bytes() == CONTENT
    assert "Range" not in server.requests[1]


def test_a_wrong_checksum_leaves_nothing(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT[::-1]
    with pytest.raises(WeightsError, match=f"not what it says: expected sha256 {SHA256[:12]}"):
        download(f"{server.url}/w.pth", target, sha256=SHA256)
    assert leftovers(target) == []


def test_a_wrong_size_is_seen_before_the_download(server: Any, target: Path) -> None:
    server.files["w.pth"] = CONTENT
    with pytest.raises(WeightsError, match=r"weights\.pth is not what it says: expected 5 bytes, got 300000"):
        download(f"{server.url}/w.pth", target, size=5)
    assert leftovers(target) == []


def test_a_web_page_is_no_file(server: Any, target: Path) -> None:
    server.files["w.pth"], server.content_type = b"<html>sign in</html>", "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match=r"expected a file, got a web page.*by hand"):
        download(f"{server.url}/w.pth", target)
    assert leftovers(target) == []


def test_what_the_server_rejects_is_said(server: Any, target: Path) -> None:
    with pytest.raises(WeightsError, match=r"download of weights\.pth: got 404"):
        download(f"{server.url}/w.pth", target)


def test_without_a_connection_the_address_is_told(server: Any, target: Path) -> None:
    url = server.url
    server.close()
    with pytest.raises(WeightsError, match=rf"expected a connection.*by hand from {url}/w\.pth"):
        download(f"{url}/w.pth", target)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/w", "w.pth"])
def test_only_the_web_is_asked(url: str, target: Path) -> None:
    with pytest.raises(WeightsError, match="https://"):
        download(url, target)


def test_a_source_is_fetched_from_its_own_address(server: Any, tmp_path: Path) -> None:
    server.files["x/w.pth"] = CONTENT
    fetched = fetch_source(source(url=f"{server.url}/x/w.pth", sha256=SHA256))
    assert fetched.temporary
    assert fetched.origin == f"{server.url}/x/w.pth"
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.path.is_relative_to(tmp_path / "cache")


def test_a_mirror_comes_first(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["copies/w.pth"] = CONTENT
    monkeypatch.setenv(MIRROR_VARIABLE, f"{server.url}/copies/")
    assert fetch_source(source(url="http://127.0.0.1:9/never")).path.read_bytes() == CONTENT
    assert fetch_source(source(), f"{server.url}/copies").path.read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["w.pth", "lite-medsam.ckpt", "lite-medsam/w.pth", "lite-medsam/lite-medsam.pt"])
def test_a_folder_of_copies_serves_without_a_network(place: str, tmp_path: Path) -> None:
    path = tmp_path / "copies" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    fetched = fetch_source(source(sha256=SHA256, size=len(CONTENT)), tmp_path / "copies")
    assert fetched.path == path
    assert not fetched.temporary
    assert fetched.origin == "https://example.org/page"


def test_a_copy_is_checked(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="expected 300000 bytes, got 299999"):
        fetch_source(source(size=len(CONTENT)), tmp_path)
    with pytest.raises(WeightsError, match="sha256"):
        fetch_source(source(sha256=SHA256), tmp_path)


def test_a_missing_copy_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"expected w\.pth in {tmp_path}, got none; .*example\.org/page"):
        find_copy(source(), tmp_path)
    with pytest.raises(WeightsError, match="no such folder"):
        find_copy(source(), tmp_path / "none")


def test_what_only_people_can_fetch_says_where_and_what_then() -> None:
    with pytest.raises(WeightsError, match=r"example\.org/page; .*by hand.*weights import lite-medsam FILE"):
        fetch_source(source())
    with pytest.raises(WeightsError, match="weights import daft --variant ct FILE"):
        fetch_source(source(model="daft", variant="ct"))
