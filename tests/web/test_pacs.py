"""The PACS in the page: a study is found, opened, segmented and stored back, against a real archive."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from bedside.io import read_image
from bedside.io.segmentations import read_segments
from tests.support.dicom_sources import PLANTED, told
from tests.support.orthanc import PASSWORD, USER, Orthanc, running_orthanc
from tests.web.conftest import Desk, Server
from tests.web.phantoms import volume, write_dicom
from tests.web.test_page import violations
from tests.web.test_tools import same_masks

pytestmark = pytest.mark.slow
pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")

SLICES = 40
Serve = Callable[..., Server]
Tab = Callable[[Server], Desk]


@pytest.fixture(scope="module")
def orthanc(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An Orthanc that holds a CT of a known patient."""
    folder = tmp_path_factory.mktemp("orthanc")
    write_dicom(folder / "ct", volume((SLICES, 64, 72)))
    with running_orthanc(folder / "run") as found:
        for file in sorted((folder / "ct").iterdir()):
            header = pydicom.dcmread(file)
            for keyword, value in PLANTED.items():
                setattr(header, keyword, value)
            header.Modality, header.StudyDescription = "CT", f"CHEST {PLANTED['PatientID']}"
            header.save_as(file)
            found.ask("/instances", method="POST", body=file.read_bytes())
        yield found


@pytest.fixture
def pacs_desk(serve: Serve, tab: Tab, orthanc: Orthanc) -> Desk:
    """A tab of a server with that PACS."""
    server = serve(BEDSIDE_PACS=orthanc.web, BEDSIDE_PACS_USER=USER, BEDSIDE_PACS_PASSWORD=PASSWORD)
    return tab(server).visit()


def search(desk: Desk, **fields: str) -> None:
    """Open the dialog by its key, fill in what is named, and search."""
    if desk.page.locator("dialog[open]").count() == 0:
        desk.page.keyboard.press("h")
    for label, value in fields.items():
        desk.page.get_by_label({"name": "Patient's name", "modality": "Modality"}[label]).fill(value)
    desk.page.keyboard.press("Enter")


def test_a_study_is_opened_and_its_masks_are_stored_back(pacs_desk: Desk, orthanc: Orthanc, tmp_path: Path) -> None:
    desk, page = pacs_desk, pacs_desk.page
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    search(desk, name="Quix*", modality="ct")
    study = page.locator(".study")
    study.wait_for()
    # Who it is stands there where that is asked for alone.
    assert told(page.locator("dialog").inner_text()) == []
    page.get_by_label("Show names, ids and dates").check()
    page.get_by_text("Quixote, Dulcinea").wait_for()
    assert {"Quixote", PLANTED["PatientID"], "2024-02-29"} <= set(told(study.inner_text()))
    assert violations(desk) == []
    study.click()
    row = page.locator(".series-row")
    row.wait_for()
    assert f"{SLICES} files" in row.inner_text()
    assert violations(desk) == []
    row.get_by_role("button", name="Open").click()
    desk.wait("bedside.store.get().image !== null")
    desk.loaded()
    assert page.locator("dialog[open]").count() == 0
    assert desk.state("image")["shape"] == [SLICES, 64, 72]
    # A mask, and back with it by one button.
    desk.go((30, 30, 20))
    desk.tool("d")
    desk.drag("axial", [(28, 28, 20), (34, 30, 20)])
    painted = same_masks(desk) != 0
    assert painted.any()
    before = set(orthanc.files())
    for form in ("DICOM SEG", "RTSTRUCT"):
        page.keyboard.press("h")
        page.get_by_role("button", name=f"Store {form}").click()
        page.locator(".toast-done", has_text=f"Stored in the PACS as {form}").wait_for()
        page.keyboard.press("Escape")
    stored = {pydicom.dcmread(_fetched(orthanc, key, tmp_path)).Modality: key for key in set(orthanc.files()) - before}
    assert set(stored) == {"SEG", "RTSTRUCT"}
    source = read_image(Path(desk.state("image")["path"]))
    read = read_segments(_fetched(orthanc, stored["SEG"], tmp_path), source)
    np.testing.assert_array_equal(read.label_map() != 0, painted)
    # Opened again from the archive, it is an object of the image.
    desk.clear()
    search(desk)
    page.locator(".study").click()
    seg = page.locator(".series-row", has_text="SEG")
    desk.answered(lambda: seg.get_by_role("button", name="Open onto the image").click())
    desk.wait("bedside.store.get().objects.length === 1")
    np.testing.assert_array_equal(same_masks(desk) != 0, painted)
    # What is kept or shown by others tells nothing.
    assert told(page.title() + page.url + "".join(requests)) == []
    assert told((desk.server.folder / "server.log").read_bytes()) == []
    assert told(json.dumps(page.evaluate("({...localStorage})"))) == []
    desk.clear()


def _fetched(orthanc: Orthanc, key: str, folder: Path) -> Path:
    path = folder / f"{key}.dcm"
    path.write_bytes(orthanc.ask(f"/instances/{key}/file"))
    return path


@pytest.fixture
def slow(orthanc: Orthanc) -> Iterator[str]:
    """The address of the same archive behind a line that takes its time."""
    host, port = orthanc.dicom.rpartition("@")[2].split(":")
    listening = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, pause: float) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(4096):
                time.sleep(pause)
                sink.sendall(content)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def relay() -> None:
        with contextlib.suppress(OSError):
            while True:
                near = listening.accept()[0]
                far = socket.create_connection((host, int(port)))
                for pair in ((near, far, 0.0), (far, near, 0.02)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=relay, daemon=True).start()
    yield orthanc.dicom.replace(f":{port}", f":{listening.getsockname()[1]}")
    listening.close()


def test_a_fetch_is_cancelled_and_goes_on(serve: Serve, tab: Tab, slow: str) -> None:
    desk = tab(serve(BEDSIDE_PACS=slow)).visit()

    def fetch() -> None:
        search(desk)
        desk.page.locator(".study").first.click()
        desk.page.locator(".series-row").get_by_role("button", name="Open", exact=True).click()
        desk.wait("bedside.store.get().transfer?.info.done > 0")

    fetch()
    seen = desk.state("transfer")["info"]
    assert (seen["total"], seen["state"]) == (SLICES, "running")
    line = desk.page.locator(".pacs-transfer")
    assert f"of {SLICES}" in line.inner_text()
    line.get_by_role("button", name="Cancel").click()
    desk.wait("bedside.store.get().transfer === null")
    assert "goes on there" in desk.page.locator(".toast-info").inner_text()
    assert desk.state("image") is None
    assert desk.page.locator("dialog[open]").count() == 1
    # The next one begins with what came, and tells so while the dialog is closed.
    desk.visit()
    fetch()
    assert desk.state("transfer")["info"]["done"] >= seen["done"]
    desk.page.keyboard.press("Escape")
    desk.wait("bedside.store.get().image !== null")
    desk.loaded()
    assert desk.state("image")["shape"] == [SLICES, 64, 72]


def test_an_archive_that_fails_is_one_line(serve: Serve, tab: Tab, orthanc: Orthanc) -> None:
    server = serve(BEDSIDE_PACS=orthanc.web, BEDSIDE_PACS_USER=USER, BEDSIDE_PACS_PASSWORD="wrong")
    desk = tab(server).visit()
    search(desk, name=PLANTED["PatientName"])
    alert = desk.page.locator("[role=alert] .toast")
    alert.wait_for()
    assert "does not let us in" in alert.inner_text()
    assert told(alert.inner_text()) == []
    assert desk.page.locator(".study").count() == 0


def test_without_a_pacs_there_is_no_button(desk: Desk) -> None:
    assert desk.page.get_by_role("button", name="PACS").count() == 0
    desk.page.keyboard.press("h")
    assert desk.page.locator("dialog[open]").count() == 0
