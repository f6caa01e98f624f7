"""Recipes: one YAML file each, called by its name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bedside.core.errors import DependencyError, FormatError, InputError
from bedside.train.config import TrainingConfig
from bedside.train.sam.recipe import SamRecipe

SUFFIXES = (".yaml", ".yml")


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.yaml"))


def load_recipe(name_or_path: str | Path) -> TrainingConfig | SamRecipe:
    """The settings of a recipe: one that comes with the package, or a YAML file of the user's own.

    Raises:
        InputError: There is no such recipe, or it has an unknown name or an unusable value.
        FormatError: The file is no YAML.
        DependencyError: PyYAML is not installed.
    """
    path = _recipe_path(name_or_path)
    values = read_yaml(path, f"recipe {path}")
    # Recipes of the SAM family go through stages.
    if isinstance(values, dict) and "stages" in values:
        return SamRecipe.from_dict(values)
    return TrainingConfig.from_dict(values)


def read_yaml(path: Path, what: str) -> Any:
    """The plain values in a YAML file; ``what`` names it in errors.

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
    """Settings by name from texts like "sampling.grid=256"; values are read as YAML.

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
    if str(name_or_path) in recipe_names():
        return Path(__file__).parent / f"{name_or_path}.yaml"
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
