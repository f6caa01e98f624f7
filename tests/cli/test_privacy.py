"""What the command line says, logs, names and writes tells nothing of the patient, whatever goes wrong."""

from __future__ import annotations

import gzip
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture

from tests.support.dicom_sources import PLANTED, told, write_picture, write_series
from tests.support.web_pacs import WebPacs, running_web_pacs

SHAPE = (4, 16, 20)
FAMILY = PLANTED["PatientName"].split("^")[0]
BOX = ["--box", "6,5,1,12,10,3"]


@dataclass(frozen=True)
class Study:
    """Files of one patient; their paths are the user's own and name nobody."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Series whose description and comments repeat the patient, and files with all that goes wrong."""
    made = Study(tmp_path / "study")
    for name in ("ct", "two", "torn", "odd", "gap", "same"):
        files = write_series(tmp_path / "study" / name, SHAPE, spacing=(0.7, 0.9, 2.5))
        for file in files:
            header = pydicom.dcmread(file)
            header.SeriesDescription = f"Thorax {FAMILY.lower()} {PLANTED['StudyDate']}"
            header.StudyDescription = header.ImageComments = f"of {PLANTED['PatientID']}"
            header.ProtocolName = PLANTED["PatientName"]
            header.save_as(file)
    write_series(made.two, (2, 16, 20))
    for file in sorted(made.torn.iterdir()):
        file.write_bytes(file.read_bytes()[:-50])
    for number, file in enumerate(sorted(made.odd.iterdir())):
        header = pydicom.dcmread(file)
        header.ImageOrientationPatient = [1, 0, 0, 0, 1, 0.1 * number]
        header.save_as(file)
    sorted(made.gap.iterdir())[1].unlink()
    for file in sorted(made.same.iterdir()):
        header = pydicom.dcmread(file)
        header.ImagePositionPatient = [0, 0, 0]
        header.ContentTime = "101112"
        header.save_as(file)
    write_picture(made.folder / "us.dcm", "US")
    Picture.fromarray(np.zeros((3, 3), np.uint8)).save(made.folder / "other.png")
    (made.folder / "damaged.dcm").write_bytes((made.ct / "IM0000.dcm").read_bytes()[:700])
    return made


@pytest.fixture
def everything(cli: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Runs a command with every log on; returns all that it said, and its log."""

    def run(*arguments: object, status: int) -> str:
        with caplog.at_level(logging.DEBUG):
            outcome = cli(*arguments)
        assert outcome.status == status, outcome
        return outcome.out + outcome.err + caplog.text

    return run


GOOD: dict[str, list[str]] = {
    "segment": ["segment", "{s}/ct", "-o", "{o}/mask.nii.gz", *BOX, "--json", "--overlay", "{o}/overlay.png"],
    "one of several": ["segment", "{s}/two", "-o", "{o}/mask.nrrd", *BOX, "--series", "{uid}"],
    "picture": ["segment", "{s}/us.dcm", "-o", "{o}/mask.png", "--box", "2,2,6,6"],
    "list": ["info", "{s}"],
    "list one": ["info", "{s}/ct"],
}
BAD: dict[str, list[str]] = {
    "several": ["segment", "{s}/two", "-o", "{o}/m.nii.gz", *BOX],
    "no such series": ["segment", "{s}/two", "-o", "{o}/m.nii.gz", *BOX, "--series", "x"],
    "series of one description": ["segment", "{s}", "-o", "{o}/m.nii.gz", *BOX, "--series", "3"],
    "torn": ["segment", "{s}/torn", "-o", "{o}/m.nii.gz", *BOX],
    "damaged": ["segment", "{s}/damaged.dcm", "-o", "{o}/m.nii.gz", *BOX],
    "no one grid": ["segment", "{s}/odd", "-o", "{o}/m.nii.gz", *BOX],
    "one place": ["segment", "{s}/same", "-o", "{o}/m.nii.gz", *BOX],
    "outside": ["segment", "{s}/ct", "-o", "{o}/m.nii.gz", "--box", "90,90,90,99,99,99"],
    "another image": ["convert", "{s}/other.png", "{o}/m.dcm", "--image", "{s}/ct"],
    "no positions": ["convert", "{s}/other.png", "{o}/m.dcm", "--image", "{s}/us.dcm", "--format", "rtstruct"],
}


def filled(words: list[str], study: Study, out: Path) -> list[str]:
    uid = str(pydicom.dcmread(study.two / "IM0002.dcm").SeriesInstanceUID)
    return [word.format(s=study.folder, o=out, uid=uid) for word in words]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def inside(file: Path) -> bytes:
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content


def test_the_planted_patient_is_found(study: Study) -> None:
    assert len(told((study.ct / "IM0000.dcm").read_bytes())) >= len(PLANTED)
    assert told(f"a {PLANTED['PatientName'].upper()} b") == PLANTED["PatientName"].split("^")
    assert told("on 2024-02-29") == ["2024-02-29"]


@pytest.mark.parametrize("name", GOOD)
def test_what_works_tells_nothing(name: str, study: Study, out: Path, everything: Any, grower: Any) -> None:
    assert told(everything(*filled(GOOD[name], study, out), status=0)) == []
    for file in out.rglob("*"):
        assert told(str(file.relative_to(out))) == []
        assert told(inside(file)) == [], file.name


@pytest.mark.parametrize("name", BAD)
def test_what_goes_wrong_tells_nothing(name: str, study: Study, out: Path, everything: Any, grower: Any) -> None:
    assert told(everything(*filled(BAD[name], study, out), status=2)) == []


@pytest.mark.parametrize("form", ["dicom-seg", "rtstruct"])
def test_objects_tell_nothing_when_stripped(form: str, study: Study, out: Path, everything: Any, grower: Any) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    pytest.importorskip("dicomanonymizer", reason="the extra 'pacs' is not installed")
    seg, plain = out / "seg.dcm", out / "plain.nii.gz"
    said = everything("segment", study.ct, "-o", seg, *BOX, "--format", form, "--strip-phi", status=0)
    assert told(said) + told(seg.read_bytes()) == []
    said = everything("segment", study.ct, "-o", out / "whole.dcm", *BOX, "--format", form, status=0)
    assert told(said) == []
    assert told((out / "whole.dcm").read_bytes())
    said = everything("convert", out / "whole.dcm", plain, "--image", study.ct, status=0)
    assert told(said) + told(inside(plain)) == []
    words = ["convert", plain, out / "again.dcm", "--image", study.ct, "--format", form, "--strip-phi"]
    assert told(everything(*words, "--uid-map", out / "map.json", status=0)) == []
    assert told((out / "again.dcm").read_bytes()) == []
    # The object of another image: what is rejected is named by its UIDs.
    assert told(everything("convert", out / "whole.dcm", plain, "--image", study.gap, status=2)) == []


class TestThePacs:
    """A PACS tells of patients in every answer; the command tells of them on request alone."""

    @pytest.fixture
    def pacs(self, study: Study, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebPacs]:
        pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
        with running_web_pacs() as found:
            found.put(*sorted(study.ct.iterdir()))
            monkeypatch.setenv("BEDSIDE_PACS", found.address)
            yield found

    QUERY = ("--patient", PLANTED["PatientName"], "--patient-id", PLANTED["PatientID"], "--date", PLANTED["StudyDate"])

    def test_what_works(self, pacs: WebPacs, study: Study, out: Path, everything: Any) -> None:
        uid = str(pacs.headers()[0].StudyInstanceUID)
        for words in (["echo"], ["find"], ["find", "--study", uid], ["fetch", "--study", uid, "-o", out]):
            assert told(everything("pacs", *words, status=0)) == []
        assert len(list(out.rglob("*.dcm"))) == SHAPE[0]
        assert told(" ".join(str(p.relative_to(out)) for p in out.rglob("*"))) == []
        assert told(everything("pacs", "store", study.two, status=0)) == []

    @pytest.mark.parametrize("behaviour", ["busy", "nothing", "garbage", "cut", "down", "missing"])
    @pytest.mark.parametrize("verb", ["find", "fetch"])
    def test_what_goes_wrong(
        self, pacs: WebPacs, out: Path, everything: Any, behaviour: str, verb: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if behaviour == "nothing":
            pacs.files.clear()
        elif behaviour == "down":
            monkeypatch.setenv("BEDSIDE_PACS", "http://127.0.0.1:1/dicom-web")
        else:
            pacs.fault = behaviour
        words = [verb, *self.QUERY, "--attempts", "1", *(["-o", str(out)] if verb == "fetch" else [])]
        assert told(everything("pacs", *words, status=2)) == []

    @pytest.mark.parametrize("behaviour", ["busy", "conflict", "missing", "down", "garbage"])
    def test_what_is_not_taken(
        self, pacs: WebPacs, study: Study, everything: Any, behaviour: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pacs.fault = behaviour
        if behaviour == "down":
            monkeypatch.setenv("BEDSIDE_PACS", "http://127.0.0.1:1/dicom-web")
        assert told(everything("pacs", "store", study.ct, "--again", "--attempts", "1", status=2)) == []

    def test_a_file_that_is_none(self, pacs: WebPacs, study: Study, everything: Any) -> None:
        shutil.copy(study.folder / "other.png", study.folder / "x.dcm")
        for strip in ([], ["--strip-phi"]):
            assert told(everything("pacs", "store", study.folder / "x.dcm", *strip, status=2)) == []

    @pytest.mark.parametrize("verb", ["find", "fetch"])
    def test_an_orthanc_that_is_down(self, pacs: WebPacs, out: Path, everything: Any, verb: str) -> None:
        words = [*self.QUERY, "--pacs", "dicom://PACS@127.0.0.1:1", "--attempts", "1"]
        words += ["-o", str(out)] if verb == "fetch" else []
        assert told(everything("pacs", verb, *words, status=2)) == []


def test_what_is_received_tells_nothing(study: Study, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
    from pynetdicom import AE

    from bedside.archive.receiver import Arrival, Inbox, Receiver

    arrivals: list[Arrival] = []
    troubles: list[str] = []
    inbox = Inbox(out, arrivals.append, troubles.append)
    broken = pydicom.dcmread(study.ct / "IM0000.dcm")
    broken.SeriesInstanceUID = ""
    with caplog.at_level(logging.DEBUG), Receiver(inbox.handle, port=0, released=inbox.released) as receiver:
        entity = AE("SCANNER")
        entity.add_requested_context(broken.SOPClassUID)
        association = entity.associate("127.0.0.1", receiver.port, ae_title="BEDSIDE")
        for dataset in (broken, pydicom.dcmread(study.ct / "IM0001.dcm")):
            association.send_c_store(dataset)
        association.release()
        while not arrivals:
            pass
    assert len(troubles) == 1
    assert told(caplog.text + " ".join(troubles) + str(arrivals)) == []
    assert told(" ".join(str(p.relative_to(out)) for p in out.rglob("*"))) == []
    assert told(BytesIO(next(out.rglob("*.dcm")).read_bytes()).read())
