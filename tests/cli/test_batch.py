from __future__ import annotations

from pathlib import Path

import pytest

from bedside.batch.report import Report
from bedside.cli.batch import Progress


def counted(made: int, failed: int = 0, kept: int = 0) -> Report:
    report = Report(Path("out"), Path())
    report._masks.update(made=made, failed=failed, kept=kept)
    return report


def test_progress_tells_the_rate_of_this_run_and_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress(counted(0, kept=100), 400)
    assert progress.line(100, 400, 0, 0.0) == "100 of 400 masks"
    assert progress.line(200, 400, 3, 60.0) == "200 of 400 masks, 3 failed, 100 a minute, 2 min left"
    assert progress.line(399, 400, 0, 299.0) == "399 of 400 masks, 60 a minute, 1 s left"
    assert progress.line(101, 40_000, 0, 1.0).endswith("60 a minute, 11.1 h left")
    assert capsys.readouterr().err == ""


def test_progress_that_goes_to_a_file_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = Progress()
    for made in range(70):
        progress(counted(made), 100)
        now += 1.0
    assert capsys.readouterr().err == (
        "bedside: 30 of 100 masks, 60 a minute, 70 s left\nbedside: 60 of 100 masks, 60 a minute, 40 s left\n"
    )
