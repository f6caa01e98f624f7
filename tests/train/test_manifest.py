from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bedside.train.config import TrainingConfig
from bedside.train.initial import Start
from bedside.train.manifest import create_card, create_manifest, describe_start, inherited_licence
from bedside.train.packing import SetSummary
from bedside.weights.card import file_sha256

SETS = [SetSummary("a", "CC0", 1, 2, 3), SetSummary("b", "CC-BY", 4, 5, 6)]


@pytest.mark.parametrize(
    ("initial", "licence"),
    [
        (None, "Apache-2.0"),
        ({"file": "x", "licence": "CC-BY-NC-SA-4.0"}, "CC-BY-NC-SA-4.0"),
        ({"file": "x", "licence": "MIT"}, "MIT"),
        # Nobody knows where these came from: what may not be sold must not become so by being forgotten.
        ({"file": "x", "licence": None}, "CC-BY-NC-SA-4.0"),
        ({"file": "x"}, "CC-BY-NC-SA-4.0"),
        ("unknown", "CC-BY-NC-SA-4.0"),
    ],
)
def test_weights_inherit_the_licence_of_what_they_started_from(initial: object, licence: str) -> None:
    assert inherited_licence(initial, "nninteractive") == licence


def test_the_card_says_what_the_run_began_with_and_what_the_task_adds(tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    path.write_bytes(b"weights")
    config = TrainingConfig("bedside-2d", held_out=("b",))
    manifest = create_manifest("recipe", config, "0" * 64, SETS, Start(path, {}, "CC-BY-4.0"))
    assert manifest["initial"] == {"file": path.name, "sha256": file_sha256(path), "licence": "CC-BY-4.0"}
    manifest["starts"].append(describe_start(0, torch.device("cpu")))
    manifest["result"] = {"step": 3, "samples": 48, "seconds": 1.0, "held_out": {"dsc_round_0": 0.5}}
    card = create_card(manifest, config, {"patch": 64})
    assert card.licence == "CC-BY-4.0"
    assert card.training["samples"] == 48
    assert card.training["patch"] == 64
    assert card.metrics == {"held_out": {"dsc_round_0": 0.5}}
    assert [entry["use"] for entry in card.data] == ["training", "validation"]
    assert str(tmp_path) not in json.dumps(manifest)
