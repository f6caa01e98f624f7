"""The engine of networks whose prompts age in channels of their own: nnInteractive and what is made from it."""

from __future__ import annotations

from dataclasses import replace

from bedside.core.errors import InputError, WeightsError
from bedside.engines.loaded import EngineRequest, card_capabilities
from bedside.engines.nninteractive.segmenter import InteractionSegmenter
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.protocol import Capabilities, Segmenter
from bedside.engines.strategies import make_strategy
from bedside.runtime.backend import Graph
from bedside.weights.card import WeightsCard

KINDS = {"box": ("bbox2d", "bbox3d"), "point": ("points",), "scribble": ("scribble",), "lasso": ("lasso",)}
"""What the checkpoints call each kind of prompt."""


def load_interactions(request: EngineRequest) -> tuple[Segmenter, Graph]:
    """Return a segmenter of the interactions engine, with the settings and the grid that were imported with its
    weights.

    Raises:
        InputError: The window strategy is unknown.
        WeightsError: What the weights' card says of prompts cannot be used.
        BackendError: The runtime cannot load the network.
    """
    name, weights = request.card.name, request.files.card
    if request.window is not None and not isinstance(request.window, str):
        raise InputError(f"windows of '{name}'", expected="a strategy's name", got=type(request.window).__name__)
    strategy = make_strategy(request.window or str(weights.training.get("window", "autozoom")))
    settings = read_settings(weights)
    grid = read_grid(weights, request.card.grid)
    capabilities = settings_capabilities(card_capabilities(request.card, (3,)), settings)
    shape = (1, 1 + settings.channels, *(grid,) * 3)
    graph = request.backend.load(request.files, shape=shape, device=request.device, precision=request.precision)
    return InteractionSegmenter(name, graph, grid, capabilities, settings, strategy), graph


def read_settings(card: WeightsCard) -> InteractionSettings:
    """Return what the checkpoint said of its prompts, from the card of the imported weights.

    Raises:
        WeightsError: It cannot be used, or something else than zeros is to lie beyond the image.
    """
    if "interactions" not in card.training:
        return InteractionSettings()
    settings = InteractionSettings.from_metadata(card.training["interactions"])
    if settings.padding != "constant":
        raise WeightsError(f"weights of '{card.name}': pad_mode_image", expected="constant", got=settings.padding)
    return settings


def read_grid(card: WeightsCard, default: int) -> int:
    """Return side of the patch that the network was trained with.

    Raises:
        WeightsError: It is no side that the network can take.
    """
    grid = card.training.get("patch", default)
    if isinstance(grid, bool) or not isinstance(grid, int) or grid < 64 or grid % 32:
        raise WeightsError(f"weights of '{card.name}': patch", expected="a multiple of 32, 64 at least", got=grid)
    return grid


def settings_capabilities(card: Capabilities, settings: InteractionSettings) -> Capabilities:
    """Return the prompts of a model's card that its checkpoint was trained with."""
    known = {kind for kind, names in KINDS.items() if any(settings.supported[name] for name in names)}
    kinds = card.prompt_kinds & (known | ({"mask"} if settings.takes_mask else set()))
    return replace(
        card,
        prompt_kinds=kinds,
        negative_kinds=card.negative_kinds & kinds,
        starts_from=card.starts_from & kinds,
        flat_boxes=not settings.supported["bbox3d"],
    )
