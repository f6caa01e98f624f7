"""The bench of systems: what it keeps and rejects, and whole on one system."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bedside.core.errors import BedsideError, DependencyError, InputError
from bedside.weights.models import model_card, model_cards
from research.bench import systems
from research.bench.systems import SETTINGS, Row, check_settings, measure_systems, row_path, system_names
from research.bench.systems_table import systems_table
from research.bench.warm import main as warm_main

MACHINE: dict[str, Any] = {"cpu": "A processor", "cores": 2, "versions": {"bedside": "1", "torch": None}}
INT8 = "openvino:int8"


def test_all_systems_are_measured_the_smallest_first() -> None:
    names = system_names([])
    assert set(names) == {card.name for card in model_cards() if card.family == "sam"}
    sizes = [model_card(name).parameters for name in names]
    assert sizes == sorted(sizes)
    assert system_names(["medsam", "rep-medsam"]) == ["rep-medsam", "medsam"]


def test_what_cannot_be_measured_is_rejected_by_name() -> None:
    with pytest.raises(InputError, match="system 'bedside-2d': expected a model of the family sam, got one of window"):
        system_names(["bedside-2d"])
    with pytest.raises(InputError, match="unknown model"):
        system_names(["lite-medsan"])
    with pytest.raises(InputError, match="setting: expected one of openvino:fp32"):
        check_settings(["openvino:fp16"])
    check_settings(SETTINGS)


def fail_in_int8(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In place of processes that measure: every figure is 1, and int8 fails; what was asked of them."""
    asked: list[str] = []

    def prepare(self: Any) -> dict[str, float]:
        asked.append(self._name)
        return {"encoder_gmac": 2.0, "decoder_gmac": 1.0}

    def measure(self: Any, setting: str, work: dict[str, float]) -> Row:
        asked.append(setting)
        known = {"system": self._name, "setting": setting, "parameters": 7, **work}
        return Row(**known, problem="no nncf") if setting == INT8 else Row(**known, encoder_ms=3.0)

    monkeypatch.setattr(systems.Bench, "prepare", prepare)
    monkeypatch.setattr(systems.Bench, "measure", measure)
    return asked


def run(folder: Path, settings: Any, machine: dict[str, Any] = MACHINE) -> None:
    measure_systems(["rep-medsam"], settings, folder, machine, repeat=1, report=lambda _: None)


def test_what_is_known_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fail_in_int8(monkeypatch)
    run(tmp_path, [INT8])
    assert asked == ["rep-medsam", INT8]
    run(tmp_path, [INT8, "torch:fp32"])
    assert asked[2:] == ["rep-medsam", "torch:fp32"]
    run(tmp_path, [INT8, "torch:fp32"])
    assert len(asked) == 4
    content = json.loads(row_path(tmp_path, "rep-medsam", INT8).read_text())
    assert content["row"]["problem"] == "no nncf"


def test_figures_of_another_machine_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in_int8(monkeypatch)
    run(tmp_path, [INT8])
    with pytest.raises(InputError, match="expected figures of this machine, got another's"):
        run(tmp_path, [INT8], {**MACHINE, "cores": 4})
    row_path(tmp_path, "rep-medsam", INT8).write_text("{}")
    with pytest.raises(InputError, match="expected figures of a system"):
        run(tmp_path, [INT8])
    with pytest.raises(InputError, match="repeat"):
        measure_systems([], [], tmp_path, MACHINE, repeat=0, report=lambda _: None)


def test_the_table_names_what_could_not_be_measured() -> None:
    rows = [
        Row("rep-medsam", "openvino:fp32", 10_570_092, 31.11, 1.81, 99.6, 20.4, 2.5, 1.25, 6.0, 500.4, 600.0),
        Row("rep-medsam", INT8, 10_570_092, problem="quantising needs nncf"),
    ]
    table = systems_table(rows, MACHINE, 3)
    assert table.startswith("A processor, 2 cores; bedside 1.\n")
    wanted = "| `rep-medsam` | 10,570,092 | 31.1 | 1.8 | openvino fp32 | 100 | 20 | 1.25 | 2.50 | 6.00 | 500 | 600 |"
    assert wanted in table.splitlines()
    assert table.splitlines()[-1] == "- `rep-medsam`, openvino int8: quantising needs nncf"
    assert Row(**asdict(rows[0])) == rows[0]


def test_a_system_that_cannot_be_made_stops_the_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems.sys, "executable", "/bin/false")
    with pytest.raises(DependencyError, match="random weights of 'rep-medsam' cannot be made"):
        run(tmp_path, [INT8])
    assert not list(tmp_path.iterdir())


def test_a_warm_process_says_in_one_line_why_it_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    assert warm_main(["rep-medsam", "none", "fp32", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_system_whole(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    run(tmp_path, ["openvino:fp32"])
    row = Row(**json.loads(row_path(tmp_path, "rep-medsam", "openvino:fp32").read_text())["row"])
    assert not row.problem
    assert row.parameters == model_card("rep-medsam").parameters
    # Published: 32.1 GFLOPs, where a multiplication with its addition counts once, by another counter.
    assert row.encoder_gmac == pytest.approx(32.1, rel=0.05)
    for name in ("decoder_gmac", "encoder_ms", "decoder_ms", "first_s", "image_s", "volume_s", "image_mb"):
        assert getattr(row, name) > 0, name
    assert issubclass(DependencyError, BedsideError)
