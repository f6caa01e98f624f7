from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research.bench import systems
from research.bench.systems import Row

PAGE = "# Page\n<!-- systems: written by python -m research bench systems -->\n<!-- end of systems -->\n"


def measured(self: Any, setting: str, work: dict[str, float]) -> Row:
    return Row(self._name, setting, 7, **work, encoder_ms=3.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the processes that measure."""
    monkeypatch.setattr(systems.Bench, "prepare", lambda self: {"encoder_gmac": 2.0, "decoder_gmac": 1.0})
    monkeypatch.setattr(systems.Bench, "measure", measured)


@pytest.mark.usefixtures("quick")
def test_figures_become_json_a_table_and_a_section_of_a_page(research_cli: Callable[..., Any], tmp_path: Path) -> None:
    page, out = tmp_path / "page.md", tmp_path / "out"
    page.write_text(PAGE)
    for setting in ("openvino:fp32", "torch:fp32"):
        arguments = ("--system", "rep-medsam", "--setting", setting, "--write", page)
        status, printed, err = research_cli("bench", "systems", "--out", out, *arguments)
        assert (status, err) == (0, "")
    table = (out / "systems.md").read_text()
    assert table.strip() in page.read_text()
    assert table.strip() in printed
    assert page.read_text().endswith("<!-- end of systems -->\n")
    rows = json.loads((out / "systems.json").read_text())["rows"]
    assert [row["setting"] for row in rows] == ["openvino:fp32", "torch:fp32"]


@pytest.mark.usefixtures("quick")
def test_bad_input_is_one_line(research_cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("no section")
    (tmp_path / "file").touch()
    for arguments, message in (
        (("--out", tmp_path / "out", "--system", "bedside-3d"), "expected a model of the family sam"),
        (("--out", tmp_path / "out", "--setting", "torch:int8"), "setting: expected one of"),
        (("--out", tmp_path / "out", "--write", tmp_path / "page.md"), "expected the lines"),
        (("--out", tmp_path / "out", "--write", tmp_path), "expected a page"),
        (("--out", tmp_path / "file"), "expected a folder"),
        (("--out", tmp_path / "out", "--repeat", 0), "repeat: expected 1 to 100"),
    ):
        status, _, err = research_cli("bench", "systems", *arguments)
        assert status == 2
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "page.md").read_text() == "no section"
