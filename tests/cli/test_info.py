from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import bedside
from bedside.cli.app import invoke
from bedside.io import readers, writers
from bedside.weights.models import model_cards


def test_info_as_json(cli: Callable[..., Any]) -> None:
    status, out, err = cli("info", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["bedside"] == bedside.__version__
    assert found["host"]["cores"] >= 1
    assert found["host"]["memory"] is None or found["host"]["memory"] > 2**28
    assert list(found["runtimes"]) == ["openvino", "onnxruntime", "torch"]
    assert found["readers"] == {name: list(suffixes) for name, suffixes in readers().items()}
    assert found["writers"] == {name: list(suffixes) for name, suffixes in writers().items()}
    assert [m["name"] for m in found["models"]] == [card.name for card in model_cards()]


def test_info_for_people_names_the_same(cli: Callable[..., Any]) -> None:
    _, out, _ = cli("info")
    for word in ("Host", "openvino", ".nii.gz", "bedside-2d", "train"):
        assert word in out


def test_the_verb_and_the_quick_way_agree(cli: Callable[..., Any], capsys: Any) -> None:
    assert invoke(["info"]) == 0
    assert capsys.readouterr().out == cli("info").out
    assert "--json" in cli("info", "--help").out
