"""The kinds of training, by name, and which of them a model has by default."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any

from bedside.core.errors import InputError
from bedside.models.registry import model_card

TASKS = {
    "window": "bedside.train.window_task",
    "dynamic-prompts": "bedside.train.dynamic_task",
    "sam": "bedside.train.sam.task",
}
"""Module of each task; see ``task.TaskModule`` for what it holds."""
DEFAULT_TASKS = {"window": "window"}
"""Task of a recipe that names none, by the family of its model."""


def task_name(task: str, model: str) -> str:
    """The task that a recipe means: the one that it names, or the default for its model.

    Raises:
        InputError: There is no such task, or the recipe names none and the model has no default.
    """
    if task in TASKS:
        return task
    known = ", ".join(sorted(TASKS))
    if task:
        close = get_close_matches(task, TASKS, n=1)
        fix = f"did you mean '{close[0]}'?" if close else None
        raise InputError("unknown training task", expected=f"one of {known}", got=f"'{task}'", fix=fix)
    family = model_card(model).family
    if family not in DEFAULT_TASKS:
        raise InputError("training setting task", expected=f"one of {known} for a model of family {family}", got="none")
    return DEFAULT_TASKS[family]


def task_module(name: str) -> Any:
    """The module of the task called ``name``, one of ``TASKS``; see ``task.TaskModule``."""
    return importlib.import_module(TASKS[name])
