"""The models Bedside knows, listed without importing torch.

Engines name the modules of their networks (``core.engines``), and other packages name further ones by entry points of
the group ``bedside.weights``. Each begins with a literal ``CARD`` (or ``CARDS``, where one module builds several) that
says what the model is, and has a function ``build(name)`` that returns the network. The cards are read from the source
by ``ast``, so that listing models neither needs torch nor waits for it; the module itself is imported only to build the
network.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bedside.core.engines import engine_specs
from bedside.core.errors import DependencyError, InputError
from bedside.core.extensions import Extension, extensions, report

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ModelCard:
    """What a model is and takes.

    Attributes:
        name: Name in the registry and on the command line.
        family: Name of the engine that runs it, see ``core.engines``.
        summary: One line for the listing.
        parameters: Number of parameters.
        dimensions: Spatial axes of the network's input, 2 or 3.
        grid: Samples along each side of the network's input.
        prompt_kinds: Prompts that the model understands.
        negative_kinds: Prompts that may be negative.
        licence: SPDX identifier of the weights.
        source: Paper or project.
        channels: What each input channel holds, in order; of the family "window" only.
        encoding: How prompts become the last of those channels, see ``engines.window.encodings``.
        variants: Sets of weights that this network serves with, the default first; empty where there is but one.
        stored_as: What trained weights are stored as; see ``weights.packed``.
    """

    name: str
    family: str
    summary: str
    parameters: int
    dimensions: int
    grid: int
    prompt_kinds: tuple[str, ...]
    negative_kinds: tuple[str, ...]
    licence: str
    source: str
    channels: tuple[str, ...] = ()
    encoding: str = "painted"
    variants: tuple[str, ...] = ()
    stored_as: Literal["float16", "float32", "int8"] = "float16"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


@functools.cache
def _found() -> dict[str, tuple[ModelCard, str]]:
    """Return every card by name, with the module that builds its network."""
    found: dict[str, tuple[ModelCard, str]] = {}
    for module in (name for spec in engine_specs().values() for name in spec.networks):
        for name, path in _sources(module):
            for card in _cards_in(path):
                if card.name in found:
                    raise InputError(f"model '{card.name}' has two cards", got=f"{name} and {found[card.name][1]}")
                found[card.name] = (card, name)
    for extension in extensions("models"):
        try:
            found |= _added(extension, found)
        # Other people's files may be wrong in any way, and the rest has to go on.
        except Exception as error:
            report(extension, error)
    return found


def _added(extension: Extension, known: Mapping[str, Any]) -> dict[str, tuple[ModelCard, str]]:
    """Return the models of another package's module, or package of modules."""
    added: dict[str, tuple[ModelCard, str]] = {}
    for name, path in _sources(extension.module):
        for card in _cards_in(path):
            if other := known.get(card.name) or added.get(card.name):
                raise InputError(f"model '{card.name}' has two cards", got=f"{name} and {other[1]}")
            added[card.name] = (card, name)
    if not added:
        raise InputError("model", expected="a literal CARD (or CARDS)", got="none")
    return added


def _sources(module: str) -> list[tuple[str, Path]]:
    """Return a module, or the modules of a package, with their files; none of them is imported."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise InputError(f"networks: module {module}", expected="a module", got="none")
    if spec.submodule_search_locations is None:
        return [(module, Path(spec.origin))]
    paths = sorted(path for folder in spec.submodule_search_locations for path in Path(folder).glob("*.py"))
    return [(f"{module}.{path.stem}", path) for path in paths if path.stem != "__init__"]


def _cards_in(path: Path) -> list[ModelCard]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "CARD":
                return [ModelCard(**ast.literal_eval(node.value))]
            if node.targets[0].id == "CARDS":
                return [ModelCard(**card) for card in ast.literal_eval(node.value)]
    return []


def model_cards() -> list[ModelCard]:
    """Return the cards of all models, sorted by name."""
    return [card for _, (card, _) in sorted(_found().items())]


def model_card(name: str) -> ModelCard:
    """Return the card of the model called ``name``.

    Raises:
        InputError: No model has that name.
    """
    if name not in _found():
        close = get_close_matches(name, _found(), n=1)
        raise InputError(
            "unknown model",
            expected=f"one of {', '.join(sorted(_found()))}",
            got=f"'{name}'",
            fix=f"did you mean '{close[0]}'?" if close else None,
        )
    return _found()[name][0]


def build_model(name: str, architecture: Mapping[str, Any] | None = None) -> nn.Module:
    """Return the network of the model called ``name``, with initial weights.

    Args:
        name: Model in the registry.
        architecture: Arguments of the model's ``build`` that replace what its card describes, for experiments.

    Raises:
        InputError: No model has that name, or its architecture cannot be changed so.
        DependencyError: torch is not installed.
    """
    model_card(name)
    try:
        module = importlib.import_module(_found()[name][1])
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise DependencyError(
            f"building the network of '{name}' needs torch", fix="install it with: pip install 'bedside[train]'"
        ) from error
    changes = dict(architecture or {})
    unknown = sorted(set(changes) - (set(inspect.signature(module.build).parameters) - {"name"}))
    if unknown:
        known = [p for p in inspect.signature(module.build).parameters if p != "name"]
        expected = f"one of {', '.join(known)}" if known else "none, it is what it is"
        raise InputError(f"architecture of '{name}'", expected=expected, got=unknown[0])
    try:
        network: nn.Module = module.build(name, **changes)
    except ValueError as error:
        raise InputError(f"architecture of '{name}'", expected="values that fit each other", got=str(error)) from error
    return network
