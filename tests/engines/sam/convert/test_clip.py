"""The folder of a published CLIP: made here from random numbers, with words of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bedside.core.errors import WeightsError

torch = pytest.importorskip("torch")

from bedside.engines.sam.blocks.clip import Clip  # noqa: E402
from bedside.engines.sam.convert.clip import BEGIN, END, Tokens, read_clip  # noqa: E402


def small() -> Clip:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Clip(features=16, widths=(64, 64), depth=1, side=64, patch=32, words=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    state = {**small().state_dict(), "logit_scale": torch.tensor(4.6)}
    for tower, count in (("vision_model", 5), ("text_model", 77)):
        state[f"{tower}.embeddings.position_ids"] = torch.arange(count)[None]
    torch.save(state, tmp_path / "pytorch_model.bin")
    parts = ["c", "t</w>", "ct</w>", "i", "m", "a", "g", "e</w>", "im", "ag", "age</w>", "image</w>", "x</w>", "-</w>"]
    numbers = {part: n for n, part in enumerate([*parts, BEGIN, END])}
    (tmp_path / "vocab.json").write_text(json.dumps(numbers))
    merges = ["#version: 0.2", "i m", "a g", "ag e</w>", "im age</w>", "c t</w>"]
    (tmp_path / "merges.txt").write_text("\n".join(merges) + "\n")
    return tmp_path


def test_the_network_is_read(folder: Path) -> None:
    with torch.device("meta"):
        empty = Clip(features=16, widths=(64, 64), depth=1, side=64, patch=32, words=20)
    found = read_clip(folder, empty)
    for name, value in small().state_dict().items():
        assert torch.equal(found.state_dict()[name], value)
    assert not any(p.requires_grad for p in found.parameters())
    assert not found.training


def test_safetensors_are_read_first(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({k: v + 1 for k, v in small().state_dict().items()}, folder / "model.safetensors")
    found = read_clip(folder, small())
    name = "visual_projection.weight"
    assert torch.equal(found.state_dict()[name], small().state_dict()[name] + 1)


def test_another_network_is_rejected(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is no CLIP of the usual kind: expected its"):
        read_clip(folder)
    with pytest.raises(WeightsError, match=r"expected model\.safetensors or pytorch_model\.bin, got neither"):
        read_clip(folder / "none")


def test_words_are_joined_in_the_order_of_the_list(folder: Path) -> None:
    tokens = Tokens.in_folder(folder)
    numbers = json.loads((folder / "vocab.json").read_text())
    assert tokens("CT Image") == [numbers[p] for p in (BEGIN, "ct</w>", "image</w>", END)]
    assert tokens("X - ct") == [numbers[p] for p in (BEGIN, "x</w>", "-</w>", "ct</w>", END)]
    assert tokens("x-ct") == tokens("x - ct")


def test_a_word_without_a_number_is_named(folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"CLIP's words for 'PET Image'.*got none: p"):
        Tokens.in_folder(folder)("PET Image")


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_missing_words_are_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=r"expected vocab\.json and merges\.txt"):
        Tokens.in_folder(folder)
