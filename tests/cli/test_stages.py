from __future__ import annotations

import sys
import time

import pytest

from bedside.cli import stages
from bedside.cli.stages import Stages, busy


def test_stages_add_up_and_keep_their_order() -> None:
    timer = Stages()
    for name in ("read", "predict", "read"):
        with timer.stage(name, "working"):
            pass
    assert list(timer.seconds) == ["read", "predict"]
    assert 0 <= sum(timer.seconds.values()) <= timer.total


def test_a_stage_that_fails_is_timed_too() -> None:
    timer = Stages()
    with pytest.raises(ValueError, match="x"), timer.stage("read", "reading"):
        raise ValueError("x")
    assert "read" in timer.seconds


@pytest.mark.parametrize("terminal", [False, True])
def test_only_a_terminal_sees_that_a_long_stage_is_busy(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, "PATIENCE", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with busy("reading [a].nii"):
        deadline = time.monotonic() + 10
        while terminal and "reading [a].nii" not in capsys.readouterr().err:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    if not terminal:
        assert capsys.readouterr().err == ""


def test_a_short_stage_shows_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with busy("reading"):
        pass
    assert capsys.readouterr().err == ""
