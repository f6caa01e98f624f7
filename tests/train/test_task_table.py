from __future__ import annotations

import dataclasses

import pytest

from bedside.core.engines import engine_specs
from bedside.core.errors import InputError
from bedside.train.config import TrainingConfig
from bedside.train.recipes import load_recipe, recipe_names
from bedside.train.task_table import task_module, task_modules, task_name
from bedside.weights.models import model_cards


@pytest.mark.parametrize("name", task_modules())
def test_every_task_has_its_module(name: str) -> None:
    module = task_module(name)
    assert callable(module.create)
    if name == "window":
        return
    assert dataclasses.is_dataclass(module.Options)
    model = next(c.name for c in model_cards())
    fields = dataclasses.fields(module.Options)
    if any(f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING for f in fields):
        with pytest.raises(InputError, match=r"training setting options\..*: expected a value, got none"):
            TrainingConfig.from_dict({"model": model, "task": name})
        return
    config = TrainingConfig.from_dict({"model": model, "task": name})
    assert config.options == module.Options()
    assert TrainingConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_names_a_task_or_has_a_default(recipe: str) -> None:
    config = load_recipe(recipe)
    if isinstance(config, TrainingConfig):
        assert task_name(config.task, config.model) in task_modules()


def test_defaults_are_tasks_and_the_rest_must_be_named() -> None:
    assert {spec.default_task for spec in engine_specs().values()} - {""} <= set(task_modules())
    assert task_name("", "bedside-2d") == task_name("", "bedside-3d") == "window"
    assert task_name("window", "anything") == "window"
    with pytest.raises(InputError, match=r"unknown training task: expected one of .*did you mean 'window'"):
        task_name("windows", "bedside-2d")
    with pytest.raises(InputError, match="unknown model"):
        task_name("", "nothing")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"options": {"a": 1}}, "training setting options: expected none for the task window"),
        ({"task": "windows"}, "unknown training task"),
        ({"task": "dynamic-prompts", "coarse_share": 0.5, "sampling": {"grid": 64}}, "training setting coarse_share"),
        ({"task": "dynamic-prompts", "sampling": {"grid": 64}}, "training setting sampling: expected none for"),
        ({"task": "dynamic-prompts", "options": {"nothing": 1}}, r"unknown training setting: .* got options\.nothing"),
        ({"task": "dynamic-prompts", "options": 3}, "training setting options: expected names with values"),
    ],
)
def test_settings_of_another_task_are_rejected(data: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainingConfig.from_dict({"model": "nninteractive", **data})
