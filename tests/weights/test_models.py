from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from bedside.core.engines import engine_specs
from bedside.core.errors import DependencyError, InputError
from bedside.engines.window.blocks.pretrained_unet import PretrainedUNet
from bedside.engines.window.blocks.unet import ResidualUNet
from bedside.weights import models as registry
from bedside.weights.models import ModelCard, build_model, model_card, model_cards
from tests.support.networks import count_parameters

NAMES = [card.name for card in model_cards()]
WINDOW = [card.name for card in model_cards() if card.family == "window"]
LARGE = 20_000_000
"""Parameters above which building alone takes seconds."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def by_size(names: list[str]) -> list[object]:
    return [pytest.param(n, marks=[pytest.mark.slow] if model_card(n).parameters > LARGE else []) for n in names]


def test_cards_are_read_without_torch() -> None:
    code = (
        "import sys, json; from bedside.weights.models import model_cards; "
        "print(json.dumps([card.to_dict() for card in model_cards()])); "
        "named = ('torch', 'numpy', 'bedside.engines.window.networks.bedside_2d'); "
        "print([m for m in named if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "[]\n")
    assert [card["name"] for card in json.loads(result.stdout)] == sorted(NAMES)


def test_the_bundled_model_is_there() -> None:
    assert "bedside-2d" in NAMES
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_cards_are_complete(name: str) -> None:
    card = model_card(name)
    assert card.family in engine_specs()
    assert card.dimensions in (2, 3)
    assert card.grid % 32 == 0
    assert set(card.negative_kinds) <= set(card.prompt_kinds) <= {"box", "point", "scribble", "lasso", "mask"}
    assert bool(card.channels) == (card.family != "sam")
    assert all([card.summary, card.licence, card.source])


@pytest.mark.parametrize("name", by_size(NAMES))
def test_every_card_builds_a_network_of_its_size(name: str) -> None:
    # Without storage the largest builds at once.
    with torch.device("meta"):
        network = build_model(name)
    assert count_parameters(network) == model_card(name).parameters


@pytest.mark.parametrize("name", by_size(WINDOW))
def test_window_networks_answer_on_their_grid_and_on_others(name: str) -> None:
    card = model_card(name)
    # On its own grid a large network would take minutes: there, shapes are all that is computed.
    device = "meta" if card.parameters > LARGE else "cpu"
    with torch.device(device):
        network = build_model(name).eval()
    small = (64, 96) if card.dimensions == 2 else (32, 64, 32)
    for grid in ((card.grid,) * card.dimensions, small):
        with torch.inference_mode():
            logits = network(torch.zeros((1, len(card.channels), *grid), device=device))
        assert logits.shape == (1, 1, *grid)
        assert logits.dtype == torch.float32


def test_unknown_names() -> None:
    with pytest.raises(InputError, match="did you mean 'bedside-2d'"):
        model_card("bedside2d")
    for function in (model_card, build_model):
        with pytest.raises(InputError, match=r"unknown model: expected one of .*bedside-2d"):
            function("no such model at all")


def test_building_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(registry.importlib, "import_module", fail)
    with pytest.raises(DependencyError, match=r"bedside\[train\]"):
        build_model("bedside-2d")


def test_cards_become_plain_values() -> None:
    card = model_card("bedside-2d")
    assert ModelCard(**card.to_dict()) == card


@pytest.mark.parametrize("name", ["bedside-2d", "bedside-3d"])
def test_architectures_can_be_changed_for_experiments(name: str) -> None:
    card = model_card(name)
    x = torch.zeros((1, len(card.channels), *(32,) * card.dimensions))
    for changes in (
        {"widths": [8, 16, 16, 16, 16]},
        {"block": "convnext"},
        {"block": "repvit"},
        {"stem": "strided"},
        {"prompts": "late"},
    ):
        network = build_model(name, {"widths": [8, 8, 8, 8, 8], "depths": [1] * 5, **changes})
        assert network(x).shape == (1, 1, *x.shape[2:])
    with pytest.raises(InputError, match=r"expected one of .*widths, depths, block, prompts, stem, got hidden"):
        build_model(name, {"hidden": 3})
    with pytest.raises(InputError, match="block 'dense' is none of residual, convnext, repvit"):
        build_model(name, {"block": "dense"})


def test_a_pretrained_encoder_is_all_there_is_to_say() -> None:
    assert isinstance(build_model("bedside-2d", {"encoder": "efficientnet-lite0"}), PretrainedUNet)
    assert isinstance(build_model("bedside-2d"), ResidualUNet)
    with pytest.raises(InputError, match="widths is of networks without a pretrained encoder"):
        build_model("bedside-2d", {"encoder": "efficientnet-lite0", "widths": [8] * 5})
    with pytest.raises(InputError, match="encoder 'vgg' is none of efficientnet-lite0"):
        build_model("bedside-2d", {"encoder": "vgg"})


def test_published_architectures_stay_as_they_are() -> None:
    with pytest.raises(InputError, match="none, it is what it is"):
        build_model("lite-medsam", {"widths": [1]})
