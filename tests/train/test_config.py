from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from bedside.core.errors import InputError
from bedside.train.config import TrainingConfig
from bedside.train.recipes import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_round_trip(name: str) -> None:
    config = load_recipe(name)
    # Recipes of the SAM family, which go through stages, have a class of their own.
    kind = type(config)
    assert kind.from_dict(config.to_dict()) == config
    assert kind.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_plain_values_become_the_types_of_the_settings() -> None:
    config = TrainingConfig.from_dict(
        {"model": "m", "learning_rate": "1e-3", "ema_decay": 0, "round_probabilities": [1], "held_out": ["a"],
         "sampling": {"wide_zoom": [1, 4]}}
    )  # fmt: skip
    assert config.learning_rate == 0.001
    assert config.ema_decay == 0.0
    assert config.round_probabilities == (1.0,)
    assert isinstance(config.round_probabilities[0], float)
    assert config.held_out == ("a",)
    assert config.sampling.wide_zoom == (1.0, 4.0)


def test_overrides() -> None:
    config = TrainingConfig("m")
    changed = config.with_overrides({"steps": 5, "sampling.grid": 64, "sampling.close_share": 0})
    assert (changed.steps, changed.sampling.grid, changed.sampling.close_share) == (5, 64, 0.0)
    assert dataclasses.replace(changed, steps=config.steps, sampling=config.sampling) == config
    assert config == TrainingConfig("m")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown training setting: expected one of .*, got stepz"),
        ({"sampling.gird": 3}, r"got sampling\.gird"),
        ({"steps.x": 3}, r"got steps\.x"),
        ({"sampling.grid.x": 3}, r"got sampling\.grid\.x"),
        ({"nothing.x": 3}, r"got nothing\.x"),
        ({"steps": "many"}, "training setting steps: expected int, got 'many'"),
        ({"steps": 2.5}, "expected int"),
        ({"steps": True}, "expected int"),
        ({"steps": 0}, "at least 1"),
        ({"batch": -1}, "at least 1"),
        ({"validation_samples": 0}, "at least 1"),
        ({"workers": -1}, "0 or more"),
        ({"seed": -1}, "0 or more"),
        ({"learning_rate": 0}, "more than 0"),
        ({"learning_rate": "fast"}, "expected float"),
        ({"learning_rate": "nan"}, "more than 0"),
        ({"gradient_clip": "inf"}, "0 or more"),
        ({"cooldown": 1.5}, "between 0 and 1"),
        ({"ema_decay": 1}, "below 1"),
        ({"round_probabilities": [0.5, 0.4]}, "add up to 1"),
        ({"round_probabilities": []}, "add up to 1"),
        ({"round_probabilities": [1.5, -0.5]}, "add up to 1"),
        ({"round_probabilities": 1}, "expected a list"),
        ({"round_probabilities": ["a"]}, "expected float"),
        ({"held_out": "one"}, "expected a list"),
        ({"held_out": [1]}, "expected str"),
        ({"precision": "fp8"}, "bf16 or fp32"),
        ({"model": None}, "expected str"),
        ({"sampling": 3}, "training setting sampling: expected names with values"),
        ({"sampling.grid": 100}, "a multiple of 32"),
        ({"sampling.wide_share": 0.95}, "shares from 0 that add up to at most 1"),
        ({"sampling.superpixel_share": "nan"}, "shares from 0 that add up to at most 1"),
        ({"sampling.extruded_share": 0.9}, "shares from 0 that add up to at most 1"),
        ({"sampling.synthetic_share": -0.1}, "shares from 0 that add up to at most 1"),
        ({"sampling.box_zoom": [2, 1]}, r"sampling\.box_zoom: expected a range above 0"),
        ({"sampling.box_zoom": [1, 2, 3]}, "expected 2 values"),
        ({"sampling.augment": 1}, "expected bool"),
    ],
)
def test_rejections_are_one_line_with_the_setting(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        TrainingConfig("m").with_overrides(change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [{}, {"steps": 3}, [], None, 3])
def test_a_recipe_without_a_model_is_rejected(data: Any) -> None:
    with pytest.raises(InputError):
        TrainingConfig.from_dict(data)


def test_a_retired_setting_is_read_and_does_nothing() -> None:
    plain = TrainingConfig("m").to_dict()
    assert "on_device" not in plain["sampling"]
    plain["sampling"]["on_device"] = True
    assert TrainingConfig.from_dict(plain) == TrainingConfig("m")
    with pytest.raises(InputError, match="unknown training setting"):
        TrainingConfig.from_dict({"model": "m", "on_device": True})
