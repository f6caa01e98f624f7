"""Copies beside the workspace: which stay, and which are removed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside.serve.cleaning import KEPT_DAYS

Start = Callable[..., Any]


def upload(server: Any, path: Path) -> Any:
    answer = server.client.post("/api/upload", files=[("files", (path.name, path.read_bytes()))])
    assert answer.is_success, answer.text
    return answer.json()


def age(server: Any, days: float) -> None:
    """Let all images have been opened so many days earlier."""
    server.service.workspace._connection.execute("UPDATE item SET opened = opened - ?", (days * 24 * 3600,))


def copies(server: Any) -> list[str]:
    return sorted(path.name for path in server.service.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("days", "stays"), [(KEPT_DAYS - 0.1, True), (KEPT_DAYS + 0.1, False)])
def test_a_copy_that_nobody_worked_on_is_removed_after_some_days(
    start: Start, picture: Path, days: float, stays: bool
) -> None:
    server = start()
    upload(server, picture)
    age(server, days)
    server = start()
    assert copies(server) == (["squares.png"] if stays else [])
    assert [item["name"] for item in server.ok("GET", "/api/state")["recent"]] == copies(server)
    # What was removed is as new when it comes again.
    assert upload(server, picture)["objects"] == []


def test_a_copy_stays_while_there_is_work_on_it(start: Start, picture: Path, volume: Path) -> None:
    server = start()
    image = upload(server, picture)["image"]
    server.click(image, 12, 8)
    done = upload(server, volume)
    server.ok("PATCH", f"/api/worklist/{done['item']}", {"state": "done"})
    age(server, 1000)
    server = start()
    assert copies(server) == ["cubes.nii.gz", "squares.png"]
    assert server.ok("GET", f"/api/images/{image}")["objects"][0]["voxels"] == 100
    server.ok("DELETE", f"/api/images/{image}/objects/1")
    server = start()
    assert copies(server) == ["cubes.nii.gz"]


def test_what_could_not_be_opened_or_was_left_half_sent_is_removed(start: Start, tmp_path: Path) -> None:
    server = start()
    files = [("files", ("broken.nii.gz", b"no gzip at all"))]
    assert server.client.post("/api/upload", files=files).status_code == 400
    (server.service.uploads / "incoming-killed").mkdir()
    (server.service.uploads / "incoming-killed" / "half.dcm").write_bytes(b"half")
    server = start()
    assert copies(server) == []
    assert list(server.service.uploads.iterdir()) == []


def test_what_was_unpacked_goes_with_the_server_and_comes_again(start: Start, volume: Path, tmp_path: Path) -> None:
    archive = tmp_path / "scan.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(volume, volume.name)
    server = start()
    image = server.open(archive)["image"]
    server.click(image, 12, 8, 4)
    folder = server.service.folder
    assert list((folder / "unpacked").rglob("cubes.nii.gz"))
    server.stop()
    assert not (folder / "unpacked").exists()
    # One that was killed leaves them to the next.
    (folder / "unpacked" / "leftover").mkdir(parents=True)
    server = start()
    assert not (folder / "unpacked").exists()
    assert server.ok("GET", f"/api/images/{image}")["objects"][0]["voxels"] == 600
    assert server.open(archive)["image"] == image
