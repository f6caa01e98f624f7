"""What one kind of network brings to Bedside: the contract by which an engine is found, without importing it.

An engine is a folder of ``bedside.engines`` with a module ``spec`` that holds ``SPEC``, or an entry point of the group
``bedside.engines`` that names an ``EngineSpec``. Rooms below the engines (weights, runtimes, training) reach them
through this table alone, so that no kind of network is named there.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bedside.core.errors import InputError
from bedside.core.extensions import extensions, report

PACKAGE = "bedside.engines"
SPEC_MODULE = "spec"


@dataclass(frozen=True)
class EngineSpec:
    """What an engine offers. Everything is named as ``"module:attribute"`` and imported when it is first used.

    Attributes:
        name: Family of the models that it runs, as their cards state it.
        load: Function that makes a segmenter from an ``engines.loaded.EngineRequest``.
        networks: Modules, or packages of modules, each of which begins with the ``CARD`` of a model (or ``CARDS``) and
            builds its network.
        tasks: Module of each kind of training by name; see ``train.task.TaskModule``.
        default_task: Task of a recipe that names none; "" where a recipe has to name one.
        recipes: Package in whose folder ``recipes`` the YAML files of its recipes lie; "" for none.
        staged_recipe: Class of recipes that go through stages, see ``train.staged.StagedRecipe``; "" for none.
        staged_run: Function that trains by such a recipe, given it and a ``train.staged.StagedRun``.
        start_weights: Function that reads weights to start a training from; see ``train.initial``. "" for files of
            tensors alone.
        pretrained: Function that finds the file of weights which a training may start from by a name, by that name.
        start_folder: File by which a folder of published weights is known that a training may start from; "" for none.
        part: Function that builds one part of a network that is served in several, for the runtime torch; "" where
            networks are served whole.
    """

    name: str
    load: str
    networks: tuple[str, ...]
    tasks: Mapping[str, str] = field(default_factory=dict)
    default_task: str = ""
    recipes: str = ""
    staged_recipe: str = ""
    staged_run: str = ""
    start_weights: str = ""
    pretrained: Mapping[str, str] = field(default_factory=dict)
    start_folder: str = ""
    part: str = ""


def resolve(reference: str) -> Any:
    """Return the object that ``"module:attribute"`` names; the module is imported."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@functools.cache
def engine_specs() -> Mapping[str, EngineSpec]:
    """Return all engines by name, sorted; those of other packages that cannot be used are told of and left out.

    Raises:
        InputError: Two engines of Bedside's have one name.
    """
    found: dict[str, EngineSpec] = {}
    for folder in pkgutil.iter_modules([str(Path(__file__).parents[1] / "engines")]):
        if folder.ispkg and importlib.util.find_spec(f"{PACKAGE}.{folder.name}.{SPEC_MODULE}"):
            _add(found, importlib.import_module(f"{PACKAGE}.{folder.name}.{SPEC_MODULE}").SPEC)
    for extension in extensions("engines"):
        try:
            spec = extension.load()
            if not isinstance(spec, EngineSpec):
                raise InputError("engine", expected="an EngineSpec", got=type(spec).__name__)
            _add(found, spec)
        # Other people's code may fail in any way, and the rest has to go on.
        except Exception as error:
            report(extension, error)
    return dict(sorted(found.items()))


def _add(found: dict[str, EngineSpec], spec: EngineSpec) -> None:
    if spec.name in found:
        raise InputError(f"engine '{spec.name}' is registered twice")
    found[spec.name] = spec


def engine_spec(name: str) -> EngineSpec:
    """Return the engine called ``name``.

    Raises:
        InputError: There is none.
    """
    if name not in engine_specs():
        raise InputError("unknown engine", expected=f"one of {', '.join(engine_specs())}", got=f"'{name}'")
    return engine_specs()[name]
