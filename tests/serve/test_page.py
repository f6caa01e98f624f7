from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside.serve.page import is_built

Start = Callable[..., Any]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "assets" / "index-abc.js").write_text("export {}")
    (folder / "assets" / "x.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("kept to itself")
    return folder


def test_without_a_built_page_the_answer_says_what_to_run(start: Start) -> None:
    server = start()
    answer = server.get("/")
    assert answer.status_code == 200
    assert "make ui" in answer.text
    assert server.get("/assets/index.js").status_code == 404


def test_the_page_and_its_files(start: Start, built: Path) -> None:
    assert is_built(built)
    server = start()
    index = server.get("/")
    assert index.text.endswith("<title>page</title>")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert index.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in index.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in index.headers["content-security-policy"]
    script = server.get("/assets/index-abc.js")
    assert (script.text, script.headers["content-type"]) == ("export {}", "text/javascript; charset=utf-8")
    assert "immutable" in script.headers["cache-control"]
    assert server.get("/assets/x.wasm").headers["content-type"] == "application/wasm"
    assert server.get("/image/3", headers={"Accept": "text/html"}).text == index.text
    head = server.client.head("/")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(index.content)))


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/a%00.js"])
def test_files_elsewhere_are_not_served(start: Start, built: Path, path: str) -> None:
    server = start()
    answer = server.client.send(server.client.build_request("GET", server.url + path))
    assert "kept to itself" not in answer.text
    assert answer.status_code == 404


def test_the_page_is_read_only(start: Start, built: Path) -> None:
    assert start().client.post("/").status_code == 405


def test_missing_files_are_no_page(start: Start, built: Path) -> None:
    assert start().get("/assets/old-name.js").status_code == 404
