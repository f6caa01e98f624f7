from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bedside.train.reproduce
from bedside.train.reproduce import Reproduction


@pytest.mark.parametrize(("second", "status"), [("1", 0), ("2", 1)])
def test_the_result_is_told_and_decides_the_exit(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, second: str, status: int
) -> None:
    calls: list[dict[str, Any]] = []

    def record(run: Path, out: Path, **options: Any) -> Reproduction:
        options["report"]("step 1/2")
        calls.append({"run": run, "out": out, **options})
        return Reproduction({"a": ("1", second)}, {}, 0.02)

    monkeypatch.setattr(bedside.train.reproduce, "reproduce", record)
    found, output, errors = cli("reproduce", "run", "--out", "new", "--data", "d", "--spread", 0.1, "--threads", 2)
    assert (found, errors) == (status, "")
    assert output.splitlines()[0] == "step 1/2"
    assert output.splitlines()[-1] == ("NOT reproduced" if status else "reproduced")
    assert {k: v for k, v in calls[0].items() if k not in ("report", "advance")} == {
        "run": Path("run"),
        "out": Path("new"),
        "data": Path("d"),
        "initial": None,
        "device": "cpu",
        "threads": 2,
        "spread": 0.1,
    }


def test_a_folder_without_a_run_is_one_line(cli: Callable[..., Any], tmp_path: Path) -> None:
    status, output, errors = cli("reproduce", tmp_path, "--out", tmp_path / "new")
    assert (status, output) == (2, "")
    assert "expected that of a training" in errors
    assert len(errors.splitlines()) == 1
