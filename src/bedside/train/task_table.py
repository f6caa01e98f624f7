"""The kinds of training, by name, and which of them a model has by default."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

from bedside.core.engines import engine_spec, engine_specs
from bedside.core.errors import InputError
from bedside.weights.models import model_card


def task_modules() -> dict[str, str]:
    """Return module of each task by name, of all engines; see ``task.TaskModule`` for what it holds."""
    return {name: module for spec in engine_specs().values() for name, module in spec.tasks.items()}


def task_name(task: str, model: str) -> str:
    """Return the task that a recipe means: the one that it names, or the default for its model.

    Raises:
        InputError: There is no such task, or the recipe names none and the model has no default.
    """
    tasks = task_modules()
    if task in tasks:
        return task
    known = ", ".join(sorted(tasks))
    if task:
        close = get_close_matches(task, tasks, n=1)
        fix = f"did you mean '{close[0]}'?" if close else None
        raise InputError("unknown training task", expected=f"one of {known}", got=f"'{task}'", fix=fix)
    family = model_card(model).family
    if not (default := engine_spec(family).default_task):
        raise InputError("training setting task", expected=f"one of {known} for a model of family {family}", got="none")
    return default


def task_module(name: str) -> Any:
    """Return the module of the task called ``name``, one of ``task_modules()``; see ``task.TaskModule``."""
    return importlib.import_module(task_modules()[name])
