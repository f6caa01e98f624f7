"""The engine of Bedside's own models, and of others that take prompts as channels of a window."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

from bedside.engines.loaded import EngineRequest, card_capabilities
from bedside.engines.planes import PlaneSegmenter
from bedside.engines.protocol import Segmenter
from bedside.engines.strategies import EVIDENCE, make_strategy
from bedside.engines.strategy import WindowStrategy
from bedside.engines.window.encodings import card_encoding
from bedside.engines.window.policy import WindowPolicy, usual_policy
from bedside.engines.window.segmenter import WindowSegmenter
from bedside.runtime.backend import Graph
from bedside.weights.card import WeightsCard


def load_window(request: EngineRequest) -> tuple[Segmenter, Graph]:
    """Return a segmenter of the window family; one of two dimensions takes volumes slice by slice.

    Raises:
        InputError: The window strategy is unknown, or the model's channels are not those of its encoding.
        BackendError: The runtime cannot load the network.
    """
    card = request.card
    encoding = card_encoding(card)
    policy, strategy = _windows(request.window, card.dimensions)
    shape = (1, len(card.channels), *(card.grid,) * card.dimensions)
    graph = request.backend.load(request.files, shape=shape, device=request.device, precision=request.precision)
    capabilities = card_capabilities(card, (card.dimensions,))
    segmenter = WindowSegmenter(
        card.name,
        graph,
        card.dimensions,
        card.grid,
        capabilities,
        policy,
        strategy,
        request.calibration,
        encoding,
        _fine_graph(request) if trained_on_fine(request.files.card) else None,
    )
    if card.dimensions == 3:
        return segmenter, graph
    return PlaneSegmenter(segmenter, replace(segmenter.capabilities, dimensions=(2, 3))), graph


def trained_on_fine(card: WeightsCard) -> bool:
    """Return whether weights of a network of images were trained on twice the grid, too."""
    return bool(card.settings.get("fine_every"))


def _fine_graph(request: EngineRequest) -> Callable[[], Graph]:
    """Return the network on twice the grid, loaded once it is called for."""
    card = request.card
    shape = (1, len(card.channels), *(2 * card.grid,) * card.dimensions)

    @functools.cache
    def load() -> Graph:
        return request.backend.load(request.files, shape=shape, device=request.device, precision=request.precision)

    return load


def _windows(chosen: str | WindowPolicy | None, dimensions: int) -> tuple[WindowPolicy, WindowStrategy | None]:
    """Return the numbers of the strategy by evidence, and another strategy where one is asked for."""
    if isinstance(chosen, WindowPolicy):
        return chosen, None
    return usual_policy(dimensions), None if chosen in (None, EVIDENCE) else make_strategy(chosen, (EVIDENCE,))
