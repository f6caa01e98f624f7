"""Recipes: one YAML file each, called by its name."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bedside.core.engines import engine_spec, engine_specs, resolve
from bedside.core.errors import DependencyError, FormatError, InputError
from bedside.train.config import TrainingConfig
from bedside.train.staged import StagedRecipe
from bedside.weights.models import model_card

SUFFIXES = (".yaml", ".yml")


def recipe_names() -> list[str]:
    """Return names of the recipes that come with the package, sorted."""
    return sorted(_packaged())


def _packaged() -> dict[str, Path]:
    """Return the recipes in the folders of all engines, by name."""
    found: dict[str, Path] = {}
    for package in (spec.recipes for spec in engine_specs().values() if spec.recipes):
        located = importlib.util.find_spec(package)
        for folder in (located.submodule_search_locations or []) if located else []:
            found |= {path.stem: path for path in Path(folder, "recipes").glob("*.yaml")}
    return found


def load_recipe(name_or_path: str | Path) -> TrainingConfig | StagedRecipe:
    """Return the settings of a recipe: one that comes with the package, or a YAML file of the user's own.

    Raises:
        InputError: There is no such recipe, or it has an unknown name or an unusable value.
        FormatError: The file is no YAML.
        DependencyError: PyYAML is not installed.
    """
    path = _recipe_path(name_or_path)
    values = read_yaml(path, f"recipe {path}")
    return settings_of(values)


def settings_of(values: Any) -> TrainingConfig | StagedRecipe:
    """Return the settings that plain values mean, those of a recipe or of a manifest.

    Recipes that go through stages hold ``stages`` and are made by the engine of their model.

    Raises:
        InputError: A name is unknown or a value unusable, or the model's engine knows no stages.
    """
    if not (isinstance(values, Mapping) and "stages" in values):
        return TrainingConfig.from_dict(values)
    family = model_card(str(values.get("model"))).family
    if not (reference := engine_spec(family).staged_recipe):
        raise InputError("recipe with stages", expected="a model whose engine trains in stages", got=f"family {family}")
    recipe: StagedRecipe = resolve(reference).from_dict(values)
    return recipe


def read_yaml(path: Path, what: str) -> Any:
    """Return the plain values in a YAML file; ``what`` names it in errors.

    Raises:
        FormatError: The file is no YAML.
        DependencyError: PyYAML is not installed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(what, expected="a YAML file", got="bytes that are no text") from error
    return _parse_yaml(text, what)


def parse_overrides(assignments: list[str]) -> dict[str, Any]:
    """Return settings by name from texts like "sampling.grid=256"; values are read as YAML.

    Raises:
        InputError: A text is no assignment.
        FormatError: A value is no YAML.
        DependencyError: PyYAML is not installed.
    """
    overrides = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise InputError("setting", expected="name=value", got=f"'{assignment}'")
        overrides[name.strip()] = _parse_yaml(value, f"value of {name.strip()}")
    return overrides


def _recipe_path(name_or_path: str | Path) -> Path:
    if (packaged := _packaged().get(str(name_or_path))) is not None:
        return packaged
    path = Path(name_or_path)
    if path.suffix in SUFFIXES and path.is_file():
        return path
    close = get_close_matches(str(name_or_path), recipe_names(), n=1)
    raise InputError(
        "unknown recipe",
        expected=f"one of {', '.join(recipe_names())}, or a YAML file",
        got=f"'{name_or_path}'",
        fix=f"did you mean '{close[0]}'?" if close else None,
    )


def _parse_yaml(text: str, what: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise DependencyError("recipes need PyYAML", fix="install it with: pip install 'bedside[train]'") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise FormatError(what, expected="YAML", got=str(error)) from error
