from __future__ import annotations

import dataclasses
import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from bedside.core.errors import InputError, WeightsError
from bedside.data.store import Store
from bedside.engines.sam.training.recipe import SamRecipe
from bedside.engines.sam.training.run import stage_state
from bedside.engines.sam.training.task import SamTask
from bedside.train.checkpoint import read_checkpoint
from bedside.train.digest import state_sha256
from bedside.train.memory import OVERHEAD, saved_bytes, weight_bytes
from bedside.train.precision import autocast
from bedside.train.run import run_training
from bedside.train.trainer import Trainer

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("light")
Calls = list[dict[str, Any]]


def train(recipe: SamRecipe, data: Path, out: Path, **options: Any) -> tuple[Any, list[str]]:
    lines: list[str] = []
    return run_training(recipe, data, out, device="cpu", report=lines.append, **options), lines


def manifest_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def interrupt_after(step: int) -> Callable[[int, int], None]:
    def advance(done: int, total: int) -> None:
        del total
        if done == step:
            signal.raise_signal(signal.SIGINT)

    return advance


def test_a_run_goes_through_its_stages_and_leaves_all_that_belongs_to_it(
    tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls
) -> None:
    steps: list[tuple[int, int]] = []
    result, lines = train(tiny, discs, tmp_path, advance=lambda *at: steps.append(at))
    assert steps == [(n, 6) for n in range(1, 7)]
    assert (result.step, result.steps) == (6, 6)
    assert result.held_out.keys() == {"step", "loss", "dsc"}
    assert any("RANDOM" in line for line in lines)
    manifest = manifest_of(tmp_path)
    assert SamRecipe.from_dict(manifest["config"]) == tiny
    assert manifest["teacher"]["weights"] == "random"
    assert [name for name, entry in manifest["stages"].items() if entry["samples"] == 6] == ["distil", "fine-tune"]
    assert manifest["stages"]["fine-tune"]["begins"]["image_encoder"] == "distil"
    assert manifest["stages"]["distil"]["side"] == 32
    assert {s["name"]: s["use"] for s in manifest["data"]} == {
        **{"one": "training", "two": "training"},
        "held": "validation",
    }
    (call,) = no_export
    assert (call["model"], call["stem"]) == ("lite-medsam", "lite-medsam")
    ended = stage_state(tmp_path / "fine-tune")
    assert manifest["result"]["tensors"] == {"lite-medsam": state_sha256(ended)}
    # Distillation leaves the heads to the teacher and trains the encoder; fine-tuning trains both.
    distilled = stage_state(tmp_path / "distil")
    for name in ("mask_decoder.iou_token.weight", "image_encoder.neck.0.weight"):
        assert not torch.equal(ended[name], distilled[name])
    losses = manifest["stages"]["fine-tune"]["losses"]
    assert all(math.isfinite(losses[at]) for at in ("first", "last"))
    assert str(tmp_path) not in json.dumps(manifest["stages"])


@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_run_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(
    tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls, step: int
) -> None:
    recipe = tiny.with_overrides({"fine-tune.clip": "percentile", "accumulate": 2, "batch": 1})
    train(recipe, discs, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, discs, tmp_path / "parts", advance=interrupt_after(step))
    _, lines = train(recipe, discs, tmp_path / "parts")
    if step != 3:
        assert any(line.startswith("going on from step") for line in lines)
    whole, parts = (manifest_of(tmp_path / name) for name in ("whole", "parts"))
    assert parts["result"]["tensors"] == whole["result"]["tensors"]
    assert parts["result"]["held_out"] == whole["result"]["held_out"]
    assert [start["from_step"] > 0 for start in parts["starts"]] == [False, step > 3]
    assert len(no_export) == 2


def test_a_finished_run_does_nothing_more_and_restart_begins_anew(
    tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls
) -> None:
    recipe = tiny.with_overrides({"steps": 1})
    train(recipe, discs, tmp_path)
    before = manifest_of(tmp_path)["result"]
    _, lines = train(recipe, discs, tmp_path)
    assert not any(line.startswith("step ") for line in lines)
    assert manifest_of(tmp_path)["result"] == before
    with pytest.raises(
        InputError, match=r"stage distil has ended with other settings: .*learning_rate: 0\.001 to 1\.0"
    ):
        train(recipe.with_overrides({"learning_rate": 1}), discs, tmp_path)
    _, lines = train(recipe, discs, tmp_path, restart=True)
    assert any(line.startswith("step 1/1") for line in lines)
    assert manifest_of(tmp_path)["result"]["tensors"] == before["tensors"]
    assert len(manifest_of(tmp_path)["starts"]) == 1
    assert len(no_export) == 3


def test_time_that_is_up_stops_within_a_stage(tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls) -> None:
    result, lines = train(tiny, discs, tmp_path, minutes=1e-9)
    assert result.weights is None
    assert not no_export
    assert "the same command goes on from there; weights are exported when all stages are done" in lines
    assert not manifest_of(tmp_path)["stages"]


def test_a_stage_ends_early_and_takes_back_its_best_weights(
    tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls
) -> None:
    # So large a rate that nothing becomes better.
    changes = {"steps": 9, "validate_every": 1, "early_stop": 2, "distil.learning_rate": 1e4}
    train(tiny.with_overrides(changes), discs, tmp_path)
    ended = manifest_of(tmp_path)["stages"]["distil"]
    assert 2 < ended["step"] < 9
    state = read_checkpoint(tmp_path / "distil" / "checkpoint.pt", CPU)
    assert ended["tensors"] == state_sha256(state["task"]["best"]["network"]) != state_sha256(state["average"])


def test_daft_leaves_out_experts_without_data_and_routes_the_rest(
    tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls
) -> None:
    stages = ("distil", "general", "3d", "x-ray", "us", "fundus", "endoscopy", "dermoscopy", "microscopy", "oct")
    modalities = {"3d": ["CT", "MR", "PET"], "us": ["US"]}
    data = tiny.to_dict()
    common = {**data["stages"]["fine-tune"], "steps": 1}
    data["plan"] = "daft-booster"
    data["stages"] = {
        name: {**common, "modalities": modalities.get(name, [] if name == "general" else ["OCT"])}
        for name in (*stages, "mammography")
    }
    data["stages"]["distil"] |= {"kind": "distil", "modalities": []}
    train(SamRecipe.from_dict(data), discs, tmp_path)
    assert {call["stem"] for call in no_export} == {"lite-medsam", "lite-medsam-3d", "lite-medsam-us"}
    assert list(manifest_of(tmp_path)["stages"]) == ["distil", "general", "3d", "us"]
    digests = manifest_of(tmp_path)["result"]["tensors"]
    assert len(set(digests.values())) == 3


def test_what_is_rejected(tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls) -> None:
    for change, message in (
        ({"model": "bedside-2d"}, "one of the family sam"),
        ({"sampling.prompts": "content"}, "content for mcp-medsam alone"),
        ({"modalities": ["OCT"]}, "labelled slices of OCT"),
        ({"pretrained": "none.safetensors"}, "pretrained: expected a safetensors file"),
        ({"teacher.weights": "none.safetensors", "teacher.side": 256}, r"teacher\.weights"),
    ):
        with pytest.raises(InputError, match=message):
            train(tiny.with_overrides(change), discs, tmp_path / "out")
    with pytest.raises(InputError, match=r"memory: expected at least .* for one sample"):
        train(tiny, discs, tmp_path / "out", memory_gb=0.001)
    assert not no_export


def test_memory_takes_batches_in_parts(tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls) -> None:
    # With running statistics as they are, the parts' gradients add up to those of the batch.
    recipe = tiny.with_overrides({"batch": 6, "steps": 1})
    config = recipe.training("fine-tune", 6)
    trainer = Trainer(config, Store(discs), tmp_path / "probe", CPU, memory_gb=1000, report=lambda _: None)
    task = cast(SamTask, trainer.task)
    batch = {k: torch.stack([torch.as_tensor(s[k]) for s in map(task.dataset(None).__getitem__, range(6))]) for k in (
        "image", "boxes", "truth")}  # fmt: skip
    trainer.network.eval()

    def gradients() -> list[torch.Tensor]:
        trainer.network.zero_grad()
        for loss in task.losses(trainer.network, batch, torch.Generator()):
            loss.backward()
        return [p.grad.clone() for p in trainer.network.parameters() if p.grad is not None]

    whole = gradients()
    with autocast(CPU, "fp32"):
        saved = saved_bytes(trainer.network, lambda: task._answer(trainer.network, task._example()))
    line = task.fit_memory(trainer.network, (weight_bytes(trainer.network) + 4.5 * OVERHEAD * saved) / 1e9)
    assert str(line).startswith("each batch takes its 6 samples 4 at a time")
    parts = gradients()
    assert len(whole) == len(parts) > 0
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert not trainer.network.training
    _, lines = train(recipe, discs, tmp_path / "out", memory_gb=1000)
    assert not any("at a time" in said for said in lines)


def test_all_parts_begin_with_pretrained_weights_where_the_plan_says_so(
    tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls
) -> None:
    from safetensors.torch import save_file

    from bedside.engines.sam.training.networks import seeded_network

    source = seeded_network("lite-medsam", 32, 77).state_dict()
    save_file({k: v.contiguous() for k, v in source.items() if v.is_floating_point()}, tmp_path / "whole.safetensors")
    recipe = dataclasses.replace(tiny, plan="medsam", stages={"fine-tune": tiny.stages["fine-tune"]})
    recipe = recipe.with_overrides({"steps": 1, "learning_rate": 1e-12})
    train(recipe, discs, tmp_path / "out", initial=str(tmp_path / "whole.safetensors"))
    state = stage_state(tmp_path / "out" / "fine-tune")
    for name in ("image_encoder.neck.0.weight", "mask_decoder.iou_token.weight"):
        assert torch.allclose(state[name], source[name], atol=1e-6)
    # Heads alone do not say whose they are.
    heads = {k: v.contiguous() for k, v in source.items() if k.startswith("mask_decoder")}
    save_file(heads, tmp_path / "heads.safetensors")
    with pytest.raises(WeightsError, match="those of an encoder"):
        train(recipe, discs, tmp_path / "other", initial=str(tmp_path / "heads.safetensors"))


def test_pretrained_weights_begin_the_encoder(tiny: SamRecipe, discs: Path, tmp_path: Path, no_export: Calls) -> None:
    from safetensors.torch import save_file

    from bedside.engines.sam.training.networks import seeded_network

    encoder = seeded_network("lite-medsam", 32, 77).image_encoder
    floats = {k: v.contiguous() for k, v in encoder.state_dict().items() if v.is_floating_point()}
    save_file(floats, tmp_path / "tiny.safetensors")
    recipe = tiny.with_overrides({"steps": 1, "learning_rate": 1e-12})
    train(recipe, discs, tmp_path / "out", initial=str(tmp_path / "tiny.safetensors"))
    state = stage_state(tmp_path / "out" / "distil")
    name = "image_encoder.neck.0.weight"
    assert torch.allclose(state[name], encoder.state_dict()["neck.0.weight"], atol=1e-6)
    assert manifest_of(tmp_path / "out")["pretrained"]["file"] == "tiny.safetensors"
