"""``bedside pacs`` against a real Orthanc, and what it says where something is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from bedside import io
from bedside.io.segmentations import read_segments
from tests.support.dicom_sources import PLANTED, told, write_series
from tests.support.orthanc import PASSWORD, USER, Orthanc, free_port, running_orthanc

pytest.importorskip("pynetdicom", reason="the extra 'pacs' is not installed")
SHAPE = (12, 16, 20)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture(params=["web", "dicom"])
def orthanc(request: pytest.FixtureRequest, started: Orthanc, monkeypatch: pytest.MonkeyPatch) -> Orthanc:
    """An Orthanc that holds nothing, named by the environment."""
    started.clear()
    monkeypatch.setenv("BEDSIDE_PACS", started.web if request.param == "web" else started.dicom)
    monkeypatch.setenv("BEDSIDE_PACS_USER", USER)
    monkeypatch.setenv("BEDSIDE_PACS_PASSWORD", PASSWORD)
    return started


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    """A phantom with a bright block."""
    files = write_series(tmp_path / "ct", SHAPE, spacing=(0.7, 0.9, 2.5), origin=(3, -4, 5))
    for z, file in enumerate(files):
        header = pydicom.dcmread(file)
        slice_ = np.full(SHAPE[1:], 20, np.uint16)
        if 4 <= z < 9:
            slice_[5:10, 6:12] = 300
        header.PixelData = slice_.tobytes()
        header.StudyDescription = f"Check of {PLANTED['PatientID']}"
        header.SeriesDescription = f"Thorax {PLANTED['PatientName'].split('^')[1].upper()} {PLANTED['StudyDate']}"
        header.save_as(file)
    return tmp_path / "ct"


def folders(text: str) -> list[Path]:
    return [Path(line.partition(": ")[0]) for line in text.splitlines()]


@pytest.mark.slow
def test_from_the_pacs_to_a_mask_and_back(orthanc: Orthanc, ct: Path, tmp_path: Path, cli: Any, grower: Any) -> None:
    pytest.importorskip("highdicom", reason="the extra 'dicom' is not installed")
    assert cli("pacs", "echo").status == 0
    status, out, err = cli("pacs", "store", ct)
    assert (status, err) == (0, "")
    assert out.endswith(": stored 12\n")
    study = str(pydicom.dcmread(ct / "IM0000.dcm").StudyInstanceUID)
    status, out, err = cli("pacs", "find")
    assert (status, err) == (0, "")
    assert study in out
    assert "Check of [hidden]" in out
    listed = cli("pacs", "find", "--study", study).out
    assert "Thorax [hidden] [hidden]" in listed
    assert told(out + listed) == []
    shown = cli("pacs", "find", "--identify").out
    assert all(PLANTED[k] in shown for k in ("PatientName", "PatientID", "StudyDate"))
    status, out, err = cli("pacs", "fetch", "--study", study, "-o", tmp_path / "here")
    assert (status, err) == (0, "")
    (folder,) = folders(out)
    assert cli("segment", folder, "-o", tmp_path / "seg.dcm", "--box", "6,5,4,12,10,9", "--name", "liver").status == 0
    assert cli("pacs", "store", tmp_path / "seg.dcm").status == 0
    status, out, err = cli("pacs", "fetch", "--study", study, "-o", tmp_path / "here")
    assert (status, err) == (0, "")
    assert f"{folder}: fetched 0, 12 were there" in out
    (mask,) = [f for f in folders(out) if f.name.startswith("SEG")]
    image = io.read_image(folder)
    np.testing.assert_array_equal(image.array, io.read_image(ct).array)
    assert image.geometry == io.read_image(ct).geometry
    ours = read_segments(tmp_path / "seg.dcm", image).segments[0].mask(SHAPE)
    theirs = read_segments(next(mask.glob("*.dcm")), image).segments[0].mask(SHAPE)
    assert ours.sum() == 5 * 5 * 6
    np.testing.assert_array_equal(theirs, ours)


def test_what_leaves_names_nobody(orthanc: Orthanc, ct: Path, tmp_path: Path, cli: Any) -> None:
    pytest.importorskip("dicomanonymizer")
    assert cli("pacs", "store", ct, "--strip-phi", "--uid-map", tmp_path / "map.json").status == 0
    for name in orthanc.files():
        content = orthanc.ask(f"/instances/{name}/file")
        assert not any(part.encode() in content for value in PLANTED.values() for part in value.split("^"))
    # The same map gives the same UIDs, so that nothing is there twice.
    again = cli("pacs", "store", ct, "--strip-phi", "--uid-map", tmp_path / "map.json")
    assert again.out.endswith(": stored 0, 12 were there\n")
    assert len(orthanc.files()) == 12


def test_what_the_pacs_holds_is_stored_again_on_request(orthanc: Orthanc, ct: Path, cli: Any) -> None:
    assert cli("pacs", "store", ct).out.endswith(": stored 12\n")
    assert cli("pacs", "store", ct).out.endswith(": stored 0, 12 were there\n")
    assert cli("pacs", "store", ct, "--again").out.endswith(": stored 12\n")


def test_what_is_not_there_is_one_line(orthanc: Orthanc, tmp_path: Path, cli: Any) -> None:
    for arguments in (["find"], ["find", "--study", "1.2.3"], ["fetch", "--patient-id", "X", "-o", tmp_path / "o"]):
        status, out, err = cli("pacs", *arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "was found" in err
    assert not (tmp_path / "o").exists()


def test_wrong_credentials_are_one_line(started: Orthanc, monkeypatch: pytest.MonkeyPatch, cli: Any) -> None:
    monkeypatch.setenv("BEDSIDE_PACS", started.web)
    for user, password in (("", ""), (USER, "wrong-one")):
        monkeypatch.setenv("BEDSIDE_PACS_USER", user)
        monkeypatch.setenv("BEDSIDE_PACS_PASSWORD", password)
        status, out, err = cli("pacs", "find")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "does not let us in" in err
        assert "401" in err
        assert "wrong-one" not in err


def test_an_ae_title_of_somebody_else_is_one_line(started: Orthanc, cli: Any) -> None:
    status, out, err = cli("pacs", "echo", "--pacs", started.dicom.replace("ORTHANC", "NOBODY"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "rejects the AE title 'BEDSIDE'" in err


def test_alone_it_shows_its_help(cli: Any) -> None:
    status, out, err = cli("pacs")
    assert (status, err) == (0, "")
    assert all(verb in out for verb in ("echo", "find", "fetch", "store", "listen"))


@pytest.mark.parametrize("address", ["http://127.0.0.1:{}/dicom-web", "dicom://PACS@127.0.0.1:{}"])
@pytest.mark.parametrize("verb", ["echo", "find", "fetch", "store"])
def test_a_pacs_that_is_down_is_one_line(address: str, verb: str, ct: Path, tmp_path: Path, cli: Any) -> None:
    more = {"fetch": ["--study", "1.2", "-o", tmp_path / "o"], "store": [ct]}.get(verb, [])
    tries = [] if verb == "echo" else ["--attempts", "1"]
    status, out, err = cli("pacs", verb, "--pacs", address.format(free_port()), *more, *tries)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "cannot be reached" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["find"], "no PACS"),
        (["find", "--pacs", "ftp://x"], "expected https://HOST/dicom-web"),
        (["find", "--pacs", "https://ward:secret-word@x/dicom-web"], "no credentials in it"),
        (["find", "--pacs", "dicom://host:104"], "no AE title"),
        (["find", "--pacs", "https://x/y", "--date", "yesterday"], "--date: expected YYYYMMDD"),
        (["find", "--pacs", "dicom://P@127.0.0.1:1", "--study", "a*"], "--study: expected a UID"),
        (["fetch", "--pacs", "dicom://P@127.0.0.1:1", "-o", "out"], "nothing that narrows it"),
        (["fetch", "--pacs", "dicom://P@127.0.0.1:1", "-o", "out", "--series", "1.2"], "nothing that narrows it"),
        (["store", "missing", "--pacs", "dicom://P@127.0.0.1:1"], "missing: expected a DICOM file"),
        (["store", ".", "--pacs", "dicom://P@127.0.0.1:1", "--uid-map", "m"], "expected --strip-phi with it"),
    ],
)
def test_wrong_usage_is_one_line(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BEDSIDE_PACS", raising=False)
    status, out, err = cli("pacs", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert "secret-word" not in err


@pytest.mark.slow
def test_listen_takes_a_series_until_it_is_interrupted(ct: Path, tmp_path: Path) -> None:
    from pynetdicom import AE

    words = [sys.executable, "-c", "from bedside.cli.main import run; run()", "pacs", "listen", tmp_path / "in"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [*words, "--port", "0", "--from", "SCANNER"],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        # A failed assertion may not wait for a process that nothing ends.
        stack.callback(process.kill)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "BEDSIDE listens on 127.0.0.1:" in first
        entity = AE("SCANNER")
        entity.add_requested_context(pydicom.dcmread(ct / "IM0000.dcm").SOPClassUID)
        association = entity.associate("127.0.0.1", int(first.split("127.0.0.1:")[1].split(",")[0]), ae_title="BEDSIDE")
        assert [association.send_c_store(path).Status for path in sorted(ct.iterdir())] == [0] * 12
        association.release()
        told_of = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=120)
    assert (process.returncode, rest, errors) == (130, "", "bedside: interrupted\n")
    folder, _, said = told_of.strip().partition(": ")
    assert said == "received 12"
    np.testing.assert_array_equal(io.read_image(folder).array, io.read_image(ct).array)
