from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import bedside.train.initial
from bedside.core.errors import InputError, WeightsError
from bedside.engines.nninteractive.training.task import Options
from bedside.train.checkpoint import load_weights
from bedside.train.config import TrainingConfig
from bedside.train.initial import initial_path, read_start, read_tensors
from bedside.weights.card import WeightsCard
from bedside.weights.models import build_model
from bedside.weights.packed import pack
from bedside.weights.store import WeightsFiles

ARCHITECTURE = {"encoder": "efficientnet-lite0"}


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    types = {"a": torch.float16, "b": torch.float32, "c.d": torch.bfloat16, "e": torch.float64}
    shapes = {"a": (3, 4), "b": (), "c.d": (2, 1, 5), "e": (0,)}
    return {k: torch.randn(shapes[k], generator=generator).to(types[k]) for k in types}


def test_reads_what_safetensors_writes(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    read = read_tensors(tmp_path / "x.safetensors")
    assert read.keys() == tensors.keys()
    for name, value in tensors.items():
        assert read[name].dtype == torch.float32
        assert torch.equal(read[name], value.float())


def test_int8_comes_back_with_its_scales(tmp_path: Path) -> None:
    value = torch.randn(20, 10, 3, 3, generator=torch.Generator().manual_seed(0))
    save_file(pack({"w": value}, "int8"), tmp_path / "x.safetensors")
    read = read_tensors(tmp_path / "x.safetensors")
    assert read.keys() == {"w"}
    # Half a step of the largest value of each channel.
    assert bool(((read["w"] - value).abs() <= value.abs().amax(dim=(1, 2, 3), keepdim=True) / 253).all())


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_files_cut_short_are_rejected(tensors: dict[str, torch.Tensor], tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.safetensors"
    del tensors["e"]
    save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WeightsError, match="expected a safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'{"a": 3}',
        b'{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}',
    ],
)
def test_headers_that_lie_are_rejected(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(WeightsError):
        read_tensors(path)


def test_choices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bedside.train.initial, "BUNDLED", tmp_path)
    assert initial_path("none", "bedside-2d") is None
    with pytest.raises(WeightsError, match="bundled weights of 'bedside-2d'"):
        initial_path("bundled", "bedside-2d")
    file = tmp_path / "bedside-2d.safetensors"
    file.touch()
    assert initial_path("bundled", "bedside-2d") == file
    assert initial_path(str(file), "bedside-2d") == file
    with pytest.raises(InputError, match=r"expected bundled, none or a safetensors file, or .*, got 'budled'"):
        initial_path("budled", "bedside-2d")
    with pytest.raises(InputError, match="starting weights"):
        initial_path(str(tmp_path), "nninteractive")


def test_a_model_stands_for_its_installed_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDSIDE_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="weights of 'nninteractive'"):
        initial_path("nninteractive", "nninteractive")
    for path in WeightsFiles.in_folder("nninteractive", tmp_path).paths:
        path.touch()
    assert initial_path("nninteractive", "nninteractive") == tmp_path / "nninteractive.safetensors"


def test_weights_of_images_start_a_network_for_volumes(tmp_path: Path) -> None:
    flat = build_model("bedside-2d").state_dict()
    save_file({name: value.half() for name, value in flat.items()}, tmp_path / "x.safetensors")
    start = read_start(tmp_path / "x.safetensors", TrainingConfig("bedside-3d"))
    deep = build_model("bedside-3d")
    load_weights(deep, start.tensors)
    same = read_start(tmp_path / "x.safetensors", TrainingConfig("bedside-2d"))
    assert {name: v.shape for name, v in same.tensors.items()} == {name: v.shape for name, v in flat.items()}


def test_weights_of_a_pretrained_encoder_start_no_network_for_volumes(tmp_path: Path) -> None:
    network = build_model("bedside-2d", ARCHITECTURE)
    state = {name: value.half() for name, value in network.state_dict().items()}
    save_file(state, tmp_path / "x.safetensors")
    config = TrainingConfig("bedside-2d", architecture=ARCHITECTURE)
    assert read_start(tmp_path / "x.safetensors", config).tensors.keys() == state.keys()
    with pytest.raises(WeightsError, match="a 2D network with a pretrained encoder"):
        read_start(tmp_path / "x.safetensors", TrainingConfig("bedside-3d"))


def test_the_licence_is_that_of_the_card_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    assert read_start(path, TrainingConfig("bedside-2d")).licence is None
    WeightsCard("x", "1", "", "CC-BY-4.0", "made").save(tmp_path / "x.json")
    start = read_start(path, TrainingConfig("bedside-2d"))
    assert (start.file, start.licence) == (path, "CC-BY-4.0")


def test_weights_that_know_prompts_in_other_channels_are_rejected(
    tmp_path: Path, nninteractive_folder: Callable[..., Path]
) -> None:
    path = tmp_path / "nninteractive.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    config = TrainingConfig("nninteractive")
    for metadata, message in (
        ({"point_radius": 3}, "point_radius of its prompts: expected 4, got 3"),
        ({"channel_mapping": {"points": [1, 2]}}, "pairs of its prompts"),
    ):
        WeightsCard("x", "1", "", "MIT", "made", training={"interactions": metadata}).save(path.with_suffix(".json"))
        with pytest.raises(WeightsError, match=message):
            read_start(path, config)
    WeightsCard("x", "1", "", "MIT", "made", training={"interactions": {"point_radius": 4}}).save(
        path.with_suffix(".json")
    )
    assert read_start(path, config).licence == "MIT"
    folder = nninteractive_folder()
    assert initial_path(str(folder), "nninteractive") == folder
    (folder / "inference_session_class.json").write_text('{"point_radius": 9}')
    options = Options(widths=(4, 8, 8, 12, 12, 16), depths=(1, 2, 1, 1, 1, 2))
    with pytest.raises(WeightsError, match="point_radius"):
        read_start(folder, dataclasses.replace(config, options=options))
    with pytest.raises(WeightsError, match="features_per_stage"):
        read_start(folder, config)
