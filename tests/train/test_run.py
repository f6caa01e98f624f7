from __future__ import annotations

import dataclasses
import importlib.util
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import bedside.runtime.export
from bedside.core.errors import InputError, WeightsError
from bedside.data.store import Store, write_store
from bedside.train.checkpoint import CHECKPOINT
from bedside.train.config import TrainingConfig
from bedside.train.run import cpu_hint, resolve_device, run_training
from bedside.weights.card import WeightsCard
from bedside.weights.models import build_model, model_card
from bedside.weights.packed import pack, unpack
from bedside.weights.store import WeightsFiles


@pytest.fixture
def data(store: Store, tmp_path: Path) -> Path:
    """The synthetic store as a folder."""
    write_store(tmp_path / "packed", store.items)
    return tmp_path / "packed"


@pytest.fixture
def real_export() -> None:
    """For the test that exports indeed."""


@pytest.fixture(autouse=True)
def exports(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[WeightsCard]:
    """In place of the real export, which traces the network at full size."""
    cards: list[WeightsCard] = []

    def record(network: torch.nn.Module, folder: Path, card: WeightsCard, **options: object) -> None:
        del options
        folder.mkdir(exist_ok=True)
        save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / f"{card.name}.st")
        cards.append(card)

    if "real_export" not in request.fixturenames:
        monkeypatch.setattr(bedside.runtime.export, "export_weights", record)
    return cards


def start(config: TrainingConfig, data: Path, out: Path, **options: Any) -> Any:
    lines: list[str] = []
    result = run_training(config, data, out, device="cpu", report=lines.append, **options)
    return result, lines


def manifest_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def test_a_run_leaves_all_that_belongs_to_it(
    config: TrainingConfig, data: Path, tmp_path: Path, exports: list[WeightsCard]
) -> None:
    out = tmp_path / "out"
    steps: list[tuple[int, int]] = []
    result, lines = start(config, data, out, advance=lambda *at: steps.append(at))
    assert (result.step, result.steps) == (6, 6)
    assert steps == [(n, 6) for n in range(1, 7)]
    assert [line.split("  ")[0] for line in lines if "loss" in line] == [f"step {n}/6" for n in range(1, 7)]
    assert {p.name.split(".")[0] for p in out.iterdir()} == {
        "checkpoint",
        "events",
        "losses",
        "manifest",
        "validation",
        "weights",
    }
    manifest = manifest_of(out)
    assert manifest["seed"] == 3
    assert TrainingConfig.from_dict(manifest["config"]) == config
    assert manifest["store"]["sha256"] == Store(data).sha256
    assert [(s["name"], s["use"], s["cases"], s["objects"]) for s in manifest["data"]] == [
        ("held", "validation", 3, 3),
        ("one", "training", 3, 3),
        ("two", "training", 3, 3),
    ]
    assert manifest["starts"][0]["versions"].keys() == {"bedside", "python", "torch", "numpy"}
    assert manifest["starts"][0]["device"]["kind"] == "cpu"
    assert manifest["starts"][0]["command"]
    assert manifest["result"]["held_out"] == result.held_out
    assert result.held_out["step"] == 6
    (card,) = exports
    assert card.name == config.model
    assert card.training["steps"] == 6
    assert card.data == tuple(manifest["data"])
    assert card.metrics == {"held_out": result.held_out}
    assert str(tmp_path) not in json.dumps(dataclasses.asdict(card))


def test_ctrl_c_stops_with_checkpoint_and_weights_and_the_same_call_goes_on(
    config: TrainingConfig, data: Path, tmp_path: Path, exports: list[WeightsCard]
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    start(config, data, whole)

    def interrupt(step: int, steps: int) -> None:
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_training(config, data, stopped, device="cpu", report=lines.append, advance=interrupt)
    assert lines[-1] == "stopped at step 2 of 6; the same command goes on from there"
    assert manifest_of(stopped)["result"]["step"] == 2
    result, lines = start(config, data, stopped)
    assert "going on from step 2 of 6" in lines
    assert result.step == 6
    assert [s["from_step"] for s in manifest_of(stopped)["starts"]] == [0, 2]
    weights = [load_file(out / "weights" / f"{config.model}.st") for out in (whole, stopped)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert len(exports) == 3


def test_restart_begins_anew(config: TrainingConfig, data: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(config, steps=2, validate_every=1)
    out = tmp_path / "out"
    start(config, data, out)
    result, lines = start(config, data, out, restart=True)
    assert result.step == 2
    assert not any("going on" in line for line in lines)
    assert len(manifest_of(out)["starts"]) == 1
    assert len((out / "validation.csv").read_text().splitlines()) == 3


def test_starting_weights(config: TrainingConfig, data: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(config, steps=1, learning_rate=1e-9)
    tensors = {k: torch.full_like(v, 0.125).half() for k, v in build_model(config.model).state_dict().items()}
    save_file(tensors, tmp_path / "start.safetensors")
    start(config, data, tmp_path / "out", initial=str(tmp_path / "start.safetensors"))
    state = torch.load(tmp_path / "out" / CHECKPOINT, weights_only=True)
    assert all(torch.allclose(v, torch.tensor(0.125), atol=1e-6) for v in state["average"].values())
    initial = manifest_of(tmp_path / "out")["initial"]
    assert initial["file"] == "start.safetensors"
    assert len(initial["sha256"]) == 64


def test_without_onnx_the_weights_stay_in_the_checkpoint(
    config: TrainingConfig, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "onnx" else original(name, *a))
    result, lines = start(dataclasses.replace(config, steps=1), data, tmp_path / "out")
    assert result.weights is None
    assert "needs onnx" in lines[-1]


def test_memory_lowers_the_micro_batch(config: TrainingConfig, data: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(config, steps=1)
    _, lines = start(config, data, tmp_path / "out", memory_gb=0.078)
    assert any(line == "each step takes its 2 samples 1 at a time to stay below the memory" for line in lines)


def test_what_is_rejected(config: TrainingConfig, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "out"
    for change, error, message in (
        ({"recipe": "no-recipe"}, InputError, "unknown recipe"),
        ({"data": tmp_path / "none"}, InputError, "data folder"),
        ({"out": tmp_path / "file"}, InputError, "folder of the run"),
        ({"overrides": {"stepz": 1}}, InputError, "unknown training setting"),
        ({"overrides": {"model": "nothing"}}, InputError, "unknown model"),
        ({"overrides": {"model": "lite-medsam"}}, InputError, "for a model of family sam"),
        ({"overrides": {"held_out": ["one", "two", "held"]}}, InputError, "a set that is not held out"),
        ({"device": "tpu"}, InputError, "expected one of auto, cpu, cuda"),
        ({"minutes": 0}, InputError, "minutes: expected more than 0"),
        ({"threads": 0}, InputError, "threads: expected at least 1"),
        ({"memory_gb": 0.01}, InputError, "memory: expected at least"),
        ({"initial": "no.safetensors"}, InputError, "starting weights"),
        ({"initial": str(tmp_path / "file")}, WeightsError, "expected a safetensors file"),
    ):
        arguments = {"recipe": config, "data": data, "out": out, "report": lambda _: None, **change}
        with pytest.raises(error, match=message):
            run_training(**arguments)
        assert not (out / CHECKPOINT).exists()


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for available in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert resolve_device("cpu").type == "cpu"
        assert resolve_device("auto").type == ("cuda" if available else "cpu")
    assert resolve_device("cuda").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device cuda: expected a GPU"):
        resolve_device("cuda")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, ("jemalloc", "OMP_WAIT_POLICY")),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, ("jemalloc",)),
        ({"LD_PRELOAD": "/lib/libjemalloc.so.2"}, ("OMP_WAIT_POLICY",)),
        ({"LD_PRELOAD": "/lib/libjemalloc.so.2", "OMP_WAIT_POLICY": "passive"}, ()),
    ],
)
def test_the_hint_tells_what_is_missing(environment: dict[str, str], words: tuple[str, ...]) -> None:
    hint = cpu_hint(environment) or ""
    assert {word for word in ("jemalloc", "OMP_WAIT_POLICY") if word in hint} == set(words)
    assert bool(hint) == bool(words)


def test_from_a_folder_of_data_to_weights_that_the_package_can_load(
    config: TrainingConfig, make_data: Callable[..., Path], tmp_path: Path, real_export: None
) -> None:
    config = dataclasses.replace(config, steps=2, held_out=("deep",))
    out = tmp_path / "out"
    result, lines = start(config, make_data(tmp_path / "root" / "train").parent, out)
    assert any(line.startswith("packed flat") for line in lines)
    files = WeightsFiles.in_folder(config.model, result.weights)
    assert files.complete
    assert files.card.training["config"]["steps"] == 2
    average = torch.load(out / CHECKPOINT, weights_only=True)["average"]
    exported = load_file(files.tensors)
    expected = pack(average, model_card(config.model).stored_as)
    assert set(exported) == set(expected)
    assert all(torch.equal(value, exported[name]) for name, value in expected.items())
    assert any(not torch.equal(value, unpack(exported)[name]) for name, value in average.items())
