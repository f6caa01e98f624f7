from __future__ import annotations

from pathlib import Path

import pytest

from bedside.batch.report import Report
from bedside.cli.batch import Progress


def counted(made: int, failed: int = 0, kept: int = 0) -> Report:
    report = Report(Path("out"), Path())
    report._masks.update(made=made, failed=failed, kept=kept)
    return report


def test_progress_tells_the_rate_of_this_run_and_what_is_left() -> None:
    line = Progress().line
    assert line(100, 400, 0, 0, 3.0) == "100 of 400 masks"
    assert line(200, 400, 3, 100, 60.0) == "200 of 400 masks, 3 failed, 100 a minute, 2 min left"
    assert line(399, 400, 0, 299, 299.0) == "399 of 400 masks, 60 a minute, 1 s left"
    assert line(101, 40_000, 0, 1, 1.0).endswith("60 a minute, 11.1 h left")


def test_progress_that_goes_to_a_file_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    progress = Progress()
    for made in range(70):
        progress(counted(made, kept=10), 110)
        now += 1.0
    assert capsys.readouterr().err == (
        "bedside: 40 of 110 masks, 60 a minute, 70 s left\nbedside: 70 of 110 masks, 60 a minute, 40 s left\n"
    )
