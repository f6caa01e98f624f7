"""Fetching and storing that are cut off, killed or run out of disk: nothing is torn, and the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from bedside.archive.contract import Query
from bedside.archive.fetching import fetch_series, find_wanted, store_files
from bedside.archive.opening import open_archive
from bedside.archive.places import LEDGER
from bedside.archive.retries import ONCE, Backoff
from bedside.core.errors import UnreachableError
from tests.support.dicom_sources import write_series
from tests.support.web_pacs import WebPacs, running_web_pacs

COUNT = 6
SLICE = (256, 256)
BYTES = 256 * 256 * 2
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "ct", (COUNT, *SLICE))


@pytest.fixture
def web() -> Iterator[WebPacs]:
    with running_web_pacs() as pacs:
        yield pacs


@pytest.fixture
def full(web: WebPacs, series: list[Path]) -> WebPacs:
    web.put(*series)
    return web


def study(pacs: WebPacs) -> str:
    return str(pacs.headers()[0].StudyInstanceUID)


def command(pacs: WebPacs, *arguments: object, **limits: int) -> subprocess.Popen[str]:
    """Start ``bedside pacs``; with ``largest`` no file may have more bytes."""
    program = "import resource, sys; from bedside.cli.main import run\n"
    if "largest" in limits:
        program += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limits['largest']},) * 2)\n"
    words = [sys.executable, "-c", program + "run()", "pacs", *map(str, arguments), "--attempts", "1"]
    environment = {
        **os.environ,
        "BEDSIDE_PACS": pacs.address,
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def assert_whole(folder: Path) -> int:
    """Every file that readers would find is a whole instance; returns how many there are."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]
    for file in files:
        assert len(pydicom.dcmread(file).PixelData) == BYTES
    return len(files)


@pytest.mark.slow
def test_a_fetch_that_is_killed_leaves_no_torn_file_and_the_next_goes_on(full: WebPacs, tmp_path: Path) -> None:
    full.send, full.wait = 3, threading.Event()
    with command(full, "fetch", "--study", study(full), "-o", tmp_path / "out") as process:
        assert full.waiting.wait(120)
        # The service has sent three; the third may be on its way still.
        while not (tmp_path / "out").exists() or assert_whole(tmp_path / "out") < 2:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    here = assert_whole(tmp_path / "out")
    assert 2 <= here <= 3
    full.wait.set()
    full.send = None
    with command(full, "fetch", "--study", study(full), "-o", tmp_path / "out") as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    # One may have been put in its place just before the kill, and not yet be noted as complete: it is fetched again.
    told = [f": fetched {COUNT - there}, {there} were there\n" for there in (here - 1, here)]
    assert out.endswith(tuple(told))
    assert assert_whole(tmp_path / "out") == COUNT


@pytest.mark.slow
def test_a_store_that_is_killed_goes_on(web: WebPacs, series: list[Path]) -> None:
    web.send, web.wait = 3, threading.Event()
    with command(web, "store", series[0].parent) as process:
        assert web.waiting.wait(120)
        process.send_signal(signal.SIGKILL)
    assert len(web.files) == 3
    web.send = None
    web.wait.set()
    posts = web.asked.count("POST")
    with command(web, "store", series[0].parent) as process:
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    # What was on its way when the client died may have arrived since.
    assert web.asked.count("POST") - posts in (COUNT - 3, COUNT - 4)
    assert len(web.files) == COUNT
    assert all(len(pydicom.dcmread(BytesIO(content)).PixelData) == BYTES for content in web.files.values())


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_line(full: WebPacs, tmp_path: Path) -> None:
    with command(full, "fetch", "--study", study(full), "-o", tmp_path / "out", largest=BYTES // 2) as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("bedside: error: ")
    assert "File too large" in err
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []
    with command(full, "fetch", "--study", study(full), "-o", tmp_path / "out") as process:
        assert process.communicate(timeout=300)[0].endswith(f": fetched {COUNT}\n")


@pytest.mark.parametrize("at", ["boundary", "samples"])
def test_an_answer_that_is_cut_off_is_gone_on_with_and_nothing_torn_is_kept(
    full: WebPacs, tmp_path: Path, at: str
) -> None:
    full.send, full.torn = 2, at == "samples"
    pauses: list[float] = []
    backoff = Backoff(attempts=2, sleep=pauses.append, jitter=lambda: 1.0)
    with open_archive(full.address) as archive:
        (found,) = find_wanted(archive, Query(study=study(full)), ONCE)
        report = fetch_series(archive, found, tmp_path / "out", backoff)
    assert report.fetched == COUNT == assert_whole(tmp_path / "out")
    # The whole series once, then what was missing of it one by one; the end of an instance is known by the next one.
    assert sum("/instances/" in path for path in full.asked) == (COUNT - 2 if full.torn else COUNT - 1)
    assert pauses == [0.5]


@pytest.mark.parametrize("busy", [1, 3])
def test_a_busy_pacs_is_asked_again_with_growing_pauses(full: WebPacs, busy: int) -> None:
    pauses: list[float] = []
    full.busy = busy
    with open_archive(full.address) as archive:
        find_wanted(archive, Query(study=study(full)), Backoff(sleep=pauses.append, jitter=lambda: 1.0))
    assert pauses == [0.5, 1.0, 2.0][:busy]


def test_a_pacs_that_stays_busy_is_given_up(full: WebPacs) -> None:
    full.busy = 100
    with open_archive(full.address) as archive, pytest.raises(UnreachableError, match="is busy: got 503"):
        find_wanted(archive, Query(study=study(full)), Backoff(sleep=lambda _: None))
    assert full.busy == 96


def test_a_file_that_something_else_cut_off_is_fetched_again(full: WebPacs, tmp_path: Path) -> None:
    with open_archive(full.address) as archive:
        (found,) = find_wanted(archive, Query(study=study(full)), ONCE)
        folder = fetch_series(archive, found, tmp_path / "out", ONCE).folder
        short, gone, strange = sorted(folder.glob("*.dcm"))[:3]
        short.write_bytes(short.read_bytes()[:-10])
        gone.unlink()
        # Whoever puts a file there himself has it in no ledger.
        lines = (folder / LEDGER).read_text().splitlines()
        (folder / LEDGER).write_text("\n".join(line for line in lines if strange.name not in line) + '\n{"file": "c')
        again = fetch_series(archive, found, tmp_path / "out", ONCE)
    assert (again.fetched, again.kept) == (3, COUNT - 3)
    assert assert_whole(folder) == COUNT


def test_what_was_stored_is_what_is_there(web: WebPacs, series: list[Path]) -> None:
    steps: list[tuple[int, int]] = []
    with open_archive(web.address) as archive:
        store_files(archive, series, ONCE, lambda done, total: steps.append((done, total)))
    assert steps == [(n, COUNT) for n in range(COUNT + 1)]
    ours = {str(pydicom.dcmread(p).SOPInstanceUID): pydicom.dcmread(p) for p in series}
    theirs = {uid: pydicom.dcmread(BytesIO(content)) for uid, content in web.files.items()}
    assert ours == theirs
