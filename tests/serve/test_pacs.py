"""The PACS over REST, against a real one: search, fetch, stop, go on, store; and what is told of patients."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from bedside.archive.address import Credentials
from bedside.io.segmentations import read_segments
from bedside.serve.pacs import PacsConfig
from bedside.serve.transfers import Transfer
from tests.support.dicom_sources import PLANTED, told, write_series
from tests.support.orthanc import PASSWORD, USER, Orthanc, free_port, running_orthanc

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")

Start = Callable[..., Any]
SHAPE = (6, 16, 20)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture
def orthanc(started: Orthanc, tmp_path: Path) -> Orthanc:
    """An Orthanc that holds one study with one series, which shows a bright block."""
    started.clear()
    for z, file in enumerate(write_series(tmp_path / "ct", SHAPE, spacing=(0.7, 0.9, 2.5))):
        header = pydicom.dcmread(file)
        samples = np.full(SHAPE[1:], 20, np.uint16)
        samples[5:10, 6:12] = 300 if 1 <= z < 5 else 20
        header.PixelData = samples.tobytes()
        header.StudyDescription = f"CHEST {PLANTED['PatientName']}"
        header.save_as(file)
        started.ask("/instances", method="POST", body=file.read_bytes())
    return started


@pytest.fixture(params=["web", "dicom"])
def config(request: pytest.FixtureRequest, orthanc: Orthanc) -> PacsConfig:
    """The same Orthanc by each protocol."""
    if request.param == "web":
        return PacsConfig(orthanc.web, Credentials(USER, PASSWORD))
    return PacsConfig(orthanc.dicom)


def ended(server: Any, transfer: Any) -> Any:
    """A transfer once it does not run any more."""
    for _ in range(3000):
        if transfer["state"] != "running":
            return transfer
        time.sleep(0.01)
        transfer = server.ok("GET", f"/api/pacs/transfers/{transfer['transfer']}")
    raise AssertionError(transfer)


def wanted(server: Any) -> dict[str, Any]:
    """What to fetch: the one series of the one study."""
    (study,) = server.ok("POST", "/api/pacs/studies", {"patient_name": "Quix*"})["studies"]
    (series,) = server.ok("POST", "/api/pacs/series", {"study": study["study"]})["series"]
    return {name: series[name] for name in ("study", "series", "modality", "number")}


def test_there_is_none_unless_it_is_configured(start: Start) -> None:
    server = start()
    assert server.ok("GET", "/api/state")["pacs"] is None
    problem = server.rejected("POST", "/api/pacs/studies", 409, {})
    assert "BEDSIDE_PACS" in problem["fix"]


def test_patients_are_named_where_that_is_asked_for(start: Start, config: PacsConfig) -> None:
    server = start(pacs=config)
    assert server.ok("GET", "/api/state")["pacs"] == config.address
    hidden = server.ok("POST", "/api/pacs/studies", {"patient_id": PLANTED["PatientID"], "modality": "ct"})
    (study,) = hidden["studies"]
    assert (study["modalities"], study["series"], study["instances"]) == (["CT"], 1, SHAPE[0])
    assert told(str(hidden)) == []
    assert "CHEST" in study["description"] or "hidden" in study["description"]
    (shown,) = server.ok("POST", "/api/pacs/studies", {"date": "20240101-", "identify": True})["studies"]
    assert [shown[name] for name in ("patient_name", "patient_id", "date")] == [
        PLANTED["PatientName"], PLANTED["PatientID"], PLANTED["StudyDate"],
    ]  # fmt: skip
    assert server.ok("POST", "/api/pacs/studies", {"modality": "MR"})["studies"] == []


def test_a_series_is_fetched_segmented_and_stored_back(
    start: Start, config: PacsConfig, orthanc: Orthanc, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    with caplog.at_level(logging.DEBUG):
        server = start(pacs=config)
        request = wanted(server)
        fetched = ended(server, server.ok("POST", "/api/pacs/fetch", request))
        assert (fetched["state"], fetched["done"], fetched["total"]) == ("done", SHAPE[0], SHAPE[0])
        info = server.open(Path(fetched["path"]))
        assert info["shape"] == list(SHAPE)
        server.click(info["image"], 8, 7, 3)
        mask = server.mask(info["image"], 1, SHAPE)
        assert mask.any()
        for form in ("dicom-seg", "rtstruct"):
            stored = ended(server, server.ok("POST", "/api/pacs/store", {"image": info["image"], "format": form}))
            assert (stored["state"], stored["done"], stored["total"]) == ("done", 1, 1), stored
    assert told(caplog.text) == []
    assert told(str([*(tmp_path / "state").rglob("*")])) == []
    # What the archive holds now is what was seen, in the study that it is of.
    series = server.ok("POST", "/api/pacs/series", {"study": request["study"]})["series"]
    assert sorted(s["modality"] for s in series) == ["CT", "RTSTRUCT", "SEG"]
    (seg,) = (s for s in series if s["modality"] == "SEG")
    again = ended(server, server.ok("POST", "/api/pacs/fetch", {k: seg[k] for k in request}))
    assert Path(again["path"]).suffix == ".dcm"
    read = read_segments(Path(again["path"]), server.service.hub.images[-1].image)
    np.testing.assert_array_equal(read.label_map() != 0, mask != 0)


def test_a_fetch_that_was_stopped_goes_on(start: Start, config: PacsConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start(pacs=config)
    request, advance = wanted(server), Transfer.advance

    def stop_after_two(self: Transfer, done: int, total: int) -> None:
        if done == 2:
            server.ok("POST", f"/api/pacs/transfers/{self.number}/cancel")
        advance(self, done, total)

    monkeypatch.setattr(Transfer, "advance", stop_after_two)
    stopped = ended(server, server.ok("POST", "/api/pacs/fetch", request))
    assert (stopped["state"], stopped["done"], stopped["path"]) == ("stopped", 2, None)
    monkeypatch.undo()
    # Also after the server was started again: what came is not cleaned away.
    server = start(pacs=config)
    seen: list[int] = []
    monkeypatch.setattr(Transfer, "advance", lambda self, done, total: (seen.append(done), advance(self, done, total)))
    done = ended(server, server.ok("POST", "/api/pacs/fetch", request))
    assert (done["state"], done["done"]) == ("done", SHAPE[0])
    assert seen == [2, 3, 4, 5, 6]
    assert server.open(Path(done["path"]))["shape"] == list(SHAPE)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda o: PacsConfig(o.web, Credentials(USER, "wrong")), "does not let us in"),
        (lambda _: PacsConfig(f"http://127.0.0.1:{free_port()}/dicom-web"), "cannot be reached"),
        (lambda _: PacsConfig(f"dicom://NONE@127.0.0.1:{free_port()}"), "cannot be reached"),
        (lambda o: PacsConfig(o.dicom.replace("ORTHANC", "OTHER")), "rejects the AE title"),
    ],
)
def test_what_is_wrong_with_the_archive_is_one_line(
    start: Start, orthanc: Orthanc, spoil: Callable[[Orthanc], PacsConfig], said: str
) -> None:
    server = start(pacs=spoil(orthanc))
    problem = server.rejected("POST", "/api/pacs/studies", 502, {"patient_id": PLANTED["PatientID"]})
    assert said in problem["message"]
    assert told(problem["message"]) == []
    request = {"study": "1.2.3", "series": "1.2.3.4"}
    failed = server.ok("POST", "/api/pacs/fetch", request)
    server.service.pacs.transfers.transfer(failed["transfer"]).end()
    assert ended(server, failed)["state"] in ("failed", "stopped")


def test_only_images_from_dicom_are_stored(start: Start, orthanc: Orthanc, picture: Path) -> None:
    server = start(pacs=PacsConfig(orthanc.web, Credentials(USER, PASSWORD)))
    image = server.open(picture)["image"]
    assert "from DICOM files" in server.rejected("POST", "/api/pacs/store", 400, {"image": image})["message"]
    server.rejected("GET", "/api/pacs/transfers/9", 404)
