"""What the server sends, logs, names and keeps tells nothing of the patient."""

from __future__ import annotations

import logging
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

from bedside.io.dicom.uid_map import UidMap
from tests.support.dicom_sources import PLANTED, told, write_series

Start = Callable[..., Any]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two series in one folder, whose descriptions repeat the patient, as the worklist's names and titles do."""
    folder = tmp_path / "study"
    for number in (1, 2):
        files = write_series(tmp_path / str(number), (4, 16, 20))
        folder.mkdir(exist_ok=True)
        for file in files:
            header = pydicom.dcmread(file)
            header.SeriesNumber = number
            header.SeriesDescription = f"{PLANTED['PatientName']} {PLANTED['StudyDate']} {number}"
            header.ProtocolName = header.ImageComments = PLANTED["PatientID"]
            header.save_as(folder / f"{number}-{file.name}")
    return folder


def items(server: Any) -> Any:
    for _ in range(1000):
        found = server.ok("GET", "/api/worklist")
        if not found["scanning"]:
            return found["items"]
        time.sleep(0.01)
    raise AssertionError("the folder is still looked through")


def test_nothing_is_told(start: Start, study: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said: list[str | bytes] = []

    def keep(answer: Any) -> None:
        answer.read()
        said.append(answer.content)
        said.append(str(answer.headers))

    with caplog.at_level(logging.DEBUG):
        server = start(study)
        server.client.event_hooks["response"].append(keep)
        found = items(server)
        assert len(found) == 2
        info = server.ok("POST", f"/api/worklist/{found[0]['item']}/open")
        image = info["image"]
        server.click(image, 9, 7, 2)
        for path in ("", "/journal", "/objects", "/labels", "/labels.nii", "/image.nii", "/picture.png"):
            server.get(f"/api/images/{image}{path}")
        server.get("/api/state")
        server.get("/api/images")
        # Errors: which series, one that is none, a folder that is none, a click outside.
        server.rejected("POST", "/api/images", 400, {"path": str(study)})
        server.rejected("POST", "/api/images", 400, {"path": str(study), "series": "7"})
        server.client.post("/api/images", json={"path": str(tmp_path / "none")})
        server.client.post(f"/api/images/{image}/prompts", json={"prompt": {"kind": "point", "position": [99, 99, 99]}})
        names = [export(server, image, suffix, what) for suffix in ("nii", "nrrd") for what in ("labels", "objects")]
    assert sum(len(part) for part in said) > 1000
    assert [told(part) for part in said if told(part)] == []
    assert told(caplog.text) + told(" ".join(names)) == []
    server.stop()
    kept = [file for file in (tmp_path / "state").rglob("*") if file.is_file()]
    assert kept
    for file in kept:
        assert told(file.read_bytes()) + told(file.name) == [], file.name


def export(server: Any, image: int, suffix: str, what: str) -> str:
    """Names in an export."""
    answer = server.get(f"/api/images/{image}/export", params={"format": suffix, "what": what})
    assert answer.status_code == 200, answer.text
    names = [answer.headers["content-disposition"]]
    if what == "objects":
        names += zipfile.ZipFile(BytesIO(answer.content)).namelist()
    return " ".join(names)


@pytest.mark.parametrize("form", ["dicom-seg", "rtstruct"])
def test_what_is_saved_without_the_patient_tells_nothing(start: Start, tmp_path: Path, form: str) -> None:
    for package in ("highdicom", "dicomanonymizer"):
        pytest.importorskip(package, reason="the extras 'dicom' and 'pacs' are not installed")
    folder = tmp_path / "study" / PLANTED["PatientID"]
    write_series(folder, (4, 16, 20))
    server = start()
    image = server.open(folder)["image"]
    server.click(image, 9, 7, 2)
    query = {"format": form, "strip_phi": "true"}
    answers = [server.get(f"/api/images/{image}/export", params=query) for _ in range(2)]
    zipped = server.get(f"/api/images/{image}/export", params={**query, "what": "objects"})
    assert [answer.status_code for answer in (*answers, zipped)] == [200, 200, 200]
    for answer in answers:
        assert told(answer.content) + told(answer.headers["content-disposition"]) == []
    with zipfile.ZipFile(BytesIO(zipped.content)) as archive:
        for name in archive.namelist():
            assert told(name) + told(archive.read(name)) == []
    # The same series has the same new UID every time, which the map leads back to.
    series = {pydicom.dcmread(BytesIO(answer.content)).StudyInstanceUID for answer in answers}
    kept = tmp_path / "state" / "w.sqlite.files" / "uid-map.json"
    assert kept.stat().st_mode & 0o077 == 0
    original = pydicom.dcmread(next(folder.glob("*"))).StudyInstanceUID
    assert series == {UidMap.load(kept).uid(original)}
    # What is saved as usual does tell.
    plain = server.get(f"/api/images/{image}/export", params={"format": form})
    assert PLANTED["PatientID"] in told(plain.content)
    problem = server.client.get(f"/api/images/{image}/export", params={"format": "nii", "strip_phi": "true"})
    assert problem.status_code == 400
