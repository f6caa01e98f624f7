from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import research.campaign
from research.budget import Budget


def test_options_reach_the_campaign_and_its_table_is_kept(
    research_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[Any] = []

    def record(name: str, data: Path, out: Path, budget: Budget, **options: Any) -> str:
        options.pop("report")("step 1/2")
        calls.append((name, data, out, budget, options))
        return "| a |\n"

    monkeypatch.setattr(research.campaign, "run_campaign", record)
    table = tmp_path / "table.md"
    arguments = ["campaign", "bedside-2d", "--data", "d", "--out", "o", "--minutes", 2.5, "--variant", "wide"]
    arguments += ["--device", "cpu", "--threads", 1, "--table", table]
    assert research_cli(*arguments) == (0, "step 1/2\n| a |\n", "")
    assert table.read_text() == "| a |\n"
    options = {"only": ["wide"], "device": "cpu", "threads": 1}
    assert calls == [("bedside-2d", Path("d"), Path("o"), Budget(minutes=2.5), options)]


def test_a_budget_is_asked_for(research_cli: Callable[..., Any], tmp_path: Path) -> None:
    status, out, err = research_cli("campaign", "bedside-2d", "--data", tmp_path, "--out", tmp_path / "o")
    assert (status, out) == (2, "")
    assert err == "bedside: error: budget of a campaign: expected minutes or samples, got none\n"


def test_an_unknown_campaign_is_one_line(research_cli: Callable[..., Any], tmp_path: Path) -> None:
    status, out, err = research_cli("campaign", "bedsyde", "--data", tmp_path, "--out", tmp_path / "o", "--minutes", 1)
    assert (status, out) == (2, "")
    assert err.startswith("bedside: error: unknown campaign: expected one of bedside-2d, bedside-3d")
    assert err.count("\n") == 1
