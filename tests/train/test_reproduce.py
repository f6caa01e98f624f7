from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import bedside.engines.sam.training.networks
import bedside.engines.sam.training.run
import bedside.engines.window.training.task
import bedside.runtime.export
from bedside.core.errors import FormatError, InputError
from bedside.data.store import Store, write_store
from bedside.engines.sam.blocks.sam import PromptableNetwork
from bedside.engines.sam.blocks.sam_mask_decoder import MaskDecoder
from bedside.engines.sam.blocks.sam_prompt_encoder import PromptEncoder
from bedside.engines.sam.training.recipe import SamRecipe
from bedside.train.config import TrainingConfig
from bedside.train.precision import PrecisionChoice
from bedside.train.reproduce import Reproduction, compare_results, reproduce
from bedside.train.run import run_training
from bedside.weights.models import build_model


def quiet(line: str) -> None:
    del line


@pytest.fixture(autouse=True)
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reproducing compares the tensors of checkpoints; graphs, which take long to trace, are not looked at."""
    monkeypatch.setattr(bedside.runtime.export, "export_weights", lambda *arguments, **options: None)
    monkeypatch.setattr(bedside.engines.sam.training.run, "export_system", lambda *arguments: None)


@pytest.fixture
def data(store: Store, tmp_path: Path) -> Path:
    write_store(tmp_path / "packed", store.items)
    return tmp_path / "packed"


@pytest.fixture
def window_run(config: TrainingConfig, data: Path, tmp_path: Path) -> Path:
    """A run of the window family, with its store beside it."""
    out = tmp_path / "window"
    run_training(config, data, out, device="cpu", report=quiet)
    write_store(out / "store", Store(data).items)
    return out


@pytest.fixture
def sam_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of the SAM family with a lighter network."""

    def build(name: str) -> torch.nn.Module:
        del name
        return PromptableNetwork(torch.nn.Conv2d(3, 32, 4, stride=4), PromptEncoder(256, width=32), MaskDecoder(32))

    monkeypatch.setattr(bedside.engines.sam.training.networks, "build_model", build)
    stage = {"steps": 2, "batch": 2, "sampling": {"side": 32}}
    recipe = {
        "model": "lite-medsam",
        "plan": "lite-medsam",
        "teacher": {"model": "lite-medsam", "weights": "random", "side": 32, "framing": "pad", "kernel": "area"},
        "held_out": ["held"],
        "workers": 0,
        "validation_samples": 2,
        "stages": {"distil": {"kind": "distil", **stage}, "fine-tune": {"kind": "fine-tune", **stage}},
    }
    run_training(SamRecipe.from_dict(recipe), data, tmp_path / "sam", device="cpu", report=quiet)
    return tmp_path / "sam"


def change(folder: Path, **result: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["result"] |= result
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_window_run_comes_out_bit_for_bit(window_run: Path, tmp_path: Path) -> None:
    result = reproduce(window_run, tmp_path / "again", report=quiet)
    assert result.identical
    assert result.within
    assert list(result.tensors) == ["bedside-2d"]
    assert list(result.scores) == [f"dsc_round_{n}" for n in range(4)]
    assert result.lines()[-1] == "reproduced"


def test_a_sam_run_comes_out_bit_for_bit_from_its_manifest_and_data(sam_run: Path, data: Path, tmp_path: Path) -> None:
    result = reproduce(sam_run / "manifest.json", tmp_path / "again", data=data, report=quiet)
    assert result.identical
    assert list(result.scores) == ["dsc"]


def test_another_result_is_told_and_judged_by_its_scores(window_run: Path, tmp_path: Path) -> None:
    before = json.loads((window_run / "manifest.json").read_text())["result"]
    change(window_run, tensors={"bedside-2d": "0" * 64})
    result = reproduce(window_run, tmp_path / "again", report=quiet)
    assert not result.identical
    assert result.within
    assert "differ" in result.lines()[0]
    worse = {**before, "held_out": {name: value + 0.5 for name, value in before["held_out"].items()}}
    assert not compare_results({**before, "tensors": {"a": "1"}}, {**worse, "tensors": {"a": "2"}}, 0.02).within


def test_the_starting_weights_must_be_those_of_the_run(config: TrainingConfig, data: Path, tmp_path: Path) -> None:
    paths = []
    for number in range(2):
        paths.append(tmp_path / f"{number}.safetensors")
        save_file({k: v + number for k, v in build_model(config.model).state_dict().items()}, paths[-1])
    config = config.with_overrides({"steps": 1})
    run_training(config, data, tmp_path / "run", device="cpu", initial=str(paths[0]), report=quiet)
    for given in ("none", str(paths[1])):
        with pytest.raises(InputError, match=r"starting weights: expected those of the run \(0\.safetensors\)"):
            reproduce(tmp_path / "run", tmp_path / "again", data=data, initial=given, report=quiet)
    assert reproduce(tmp_path / "run", tmp_path / "again", data=data, initial=str(paths[0]), report=quiet).identical


def test_the_recipe_s_starting_weights_need_not_be_named(config: TrainingConfig, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    save_file({k: v + 1 for k, v in build_model(config.model).state_dict().items()}, path)
    config = config.with_overrides({"steps": 1, "initial": str(path)})
    run_training(config, data, tmp_path / "run", device="cpu", report=quiet)
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["initial"]["file"] == path.name
    assert reproduce(tmp_path / "run", tmp_path / "again", data=data, report=quiet).identical


def test_the_precision_that_was_measured_is_not_measured_again(
    config: TrainingConfig, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = PrecisionChoice("fp32", "bf16")
    monkeypatch.setattr(bedside.engines.window.training.task, "measure_precision", lambda *_: (choice, "measured"))
    run_training(config.with_overrides({"steps": 1, "precision": "auto"}), data, tmp_path / "run", report=quiet)
    monkeypatch.setattr(
        bedside.engines.window.training.task, "measure_precision", lambda *_: pytest.fail("measured again")
    )
    assert reproduce(tmp_path / "run", tmp_path / "again", data=data, report=quiet).identical


def test_what_is_rejected(window_run: Path, store: Store, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="that of a training"):
        reproduce(tmp_path / "nothing", tmp_path / "again")
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(FormatError, match="that of a training"):
        reproduce(tmp_path / "odd.json", tmp_path / "again")
    with pytest.raises(InputError, match="one without a run"):
        reproduce(window_run, window_run)
    shutil.copy(window_run / "manifest.json", tmp_path / "alone.json")
    with pytest.raises(InputError, match="its store, or --data"):
        reproduce(tmp_path / "alone.json", tmp_path / "again")
    write_store(tmp_path / "other", store.items[:-1])
    with pytest.raises(InputError, match="training store: expected the one of the run"):
        reproduce(window_run, tmp_path / "again", data=tmp_path / "other")
    change(window_run, step=4)
    with pytest.raises(InputError, match="one that reached its last step, got step 4"):
        reproduce(window_run, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_without_scores_only_equal_tensors_count() -> None:
    assert Reproduction({"a": ("1", "1")}, {}, 0.02).within
    differing = Reproduction({"a": ("1", "2")}, {}, 0.02)
    assert not differing.within
    assert differing.lines()[-2:] == [
        "no held-out DSC was measured, so that only equal tensors would count",
        "NOT reproduced",
    ]
    assert Reproduction({"a": ("1", "2")}, {"dsc": (0.5, 0.51)}, 0.02).within
    assert not Reproduction({"a": ("1", "2")}, {"dsc": (0.5, 0.53)}, 0.02).within
