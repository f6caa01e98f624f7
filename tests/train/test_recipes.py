from __future__ import annotations

from pathlib import Path

import pytest

from bedside.core.errors import FormatError, InputError
from bedside.train.recipes import load_recipe, parse_overrides, recipe_names
from bedside.weights.models import model_card


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains_a_model_of_the_registry(name: str) -> None:
    assert model_card(load_recipe(name).model)


def test_the_bundled_model_has_its_recipe() -> None:
    config = load_recipe("bedside-2d")
    assert config.model == "bedside-2d"
    assert config.held_out


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: bedside-2d\nsteps: 3\nlearning_rate: 1e-4\n")
    assert load_recipe(path).learning_rate == 1e-4
    assert load_recipe(str(path)).steps == 3


def test_unknown_recipes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'bedside-2d'"):
        load_recipe("bedside2d")
    for name in ("nothing", tmp_path, tmp_path / "no.yaml", "../bedside-2d"):
        with pytest.raises(InputError, match=r"unknown recipe: expected one of .*bedside-2d.*, or a YAML file"):
            load_recipe(name)


@pytest.mark.parametrize("content", [b"model: [", b"\xff\xfe\x00", b"- a\n- b\n", b"", b"!!python/object:os.system x"])
def test_files_that_are_no_recipe(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises((FormatError, InputError)) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)


def test_overrides_are_yaml() -> None:
    texts = ["steps=3", "sampling.grid = 64", "held_out=[a, b]", "sampling.augment=false", "model=x=y"]
    assert parse_overrides(texts) == {
        "steps": 3,
        "sampling.grid": 64,
        "held_out": ["a", "b"],
        "sampling.augment": False,
        "model": "x=y",
    }


@pytest.mark.parametrize(("text", "error"), [("steps", InputError), ("=3", InputError), ("steps=[", FormatError)])
def test_overrides_that_are_none(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_overrides([text])
