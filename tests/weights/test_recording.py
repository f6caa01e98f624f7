"""Results on a card: of the weights that were measured, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bedside.cli.main import execute
from bedside.core.errors import FormatError, InputError
from bedside.weights import store
from bedside.weights.card import WeightsCard, file_sha256
from bedside.weights.recording import portable_command, record_metrics

SHA = "a" * 64
CARD = WeightsCard("bedside-2d", "1", SHA, "Apache-2.0", "here", metrics={"held_out": {"step": 3}})


def summary(set_name: str | None, values: list[float], candidate: str = "bedside-2d") -> dict[str, Any]:
    curve = {"values": values, "intervals": [[v - 0.1, v + 0.1] for v in values] if set_name else None, "auc": None}
    return {"candidate": candidate, "set_name": set_name, "curves": {"dsc": curve}}


def document(*starts: str, sha256: str = SHA, name: str = "clicks") -> dict[str, Any]:
    parts = [
        {
            "protocol": {"name": name, "start": start, "tolerance": 2.0, "unit": "px"},
            "candidates": [
                {"name": "box", "details": {}},
                {"name": "bedside-2d", "details": {"weights_sha256": sha256}},
            ],
            "overall": [summary(None, [0.1, 0.2], "box"), summary(None, [0.812345, 0.9])],
            "summaries": [summary("lungs", [0.7, 0.8]), summary("lungs", [0.2, 0.2], "box")],
        }
        for start in starts
    ]
    shared = {"manifest": {"command": "bedside evaluate --data D"}, "sets": [{"name": "lungs", "objects": 7}]}
    if len(parts) == 1:
        return {"format": "bedside-evaluation", **shared, **parts[0]}
    return {"format": "bedside-evaluation-starts", **shared, "starts": parts}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_results_are_kept_per_set_with_their_intervals(tmp_path: Path) -> None:
    card = record_metrics(CARD, write(tmp_path / "r.json", document("box", "point")))
    assert card.metrics["held_out"] == {"step": 3}
    assert list(card.metrics["evaluation"]) == ["box", "point"]
    box = card.metrics["evaluation"]["box"]
    assert box["command"] == "bedside evaluate --data D"
    assert box["mean_over_sets"] == {"dsc": [0.8123, 0.9]}
    assert box["sets"]["lungs"]["objects"] == 7
    assert box["sets"]["lungs"]["dsc"] == [0.7, 0.8]
    assert box["sets"]["lungs"]["dsc_interval"][1] == pytest.approx([0.7, 0.9])


def test_other_starts_and_protocols_stay(tmp_path: Path) -> None:
    card = record_metrics(CARD, write(tmp_path / "r.json", document("box", "point")))
    card = record_metrics(card, write(tmp_path / "r.json", document("point")))
    card = record_metrics(card, write(tmp_path / "r.json", document("official", name="interactive2025")))
    assert set(card.metrics["evaluation"]) == {"box", "point", "interactive2025 official"}


def test_results_of_other_weights_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluate the weights as they are now"):
        record_metrics(CARD, write(tmp_path / "r.json", document("box", sha256="b" * 64)))


@pytest.mark.parametrize("content", [[], {}, {"format": "other"}, {"format": "bedside-evaluation-starts"}, "text"])
def test_what_is_no_results_is_rejected(tmp_path: Path, content: Any) -> None:
    with pytest.raises(FormatError, match=r"bedside evaluate --json"):
        record_metrics(CARD, write(tmp_path / "r.json", content))
    with pytest.raises(FormatError):
        record_metrics(CARD, tmp_path / "missing.json")


def test_the_command_writes_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    bundled = store.WeightsFiles.in_folder("bedside-2d", store.BUNDLED)
    for path in bundled.paths:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    mine = store.WeightsFiles.in_folder("bedside-2d", tmp_path)
    results = write(tmp_path / "r.json", document("scribble", sha256=file_sha256(mine.tensors)))
    arguments = ["weights", "record-metrics", "bedside-2d", str(results), "--weights", str(tmp_path)]
    assert execute(arguments) == 0
    assert "scribble" in capsys.readouterr().out
    assert mine.card.metrics["evaluation"]["scribble"]["mean_over_sets"]["dsc"] == [0.8123, 0.9]
    assert mine.card.data == bundled.card.data


def test_commands_on_cards_hold_no_paths_of_a_machine() -> None:
    command = "bedside evaluate --data /home/someone/data/val --json out.json --set 'a b'"
    assert portable_command(command) == "bedside evaluate --data val --json out.json --set 'a b'"
