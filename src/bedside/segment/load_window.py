"""The engine of Bedside's own models: prompts painted as channels of a window."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

from bedside.runtime.backend import Graph
from bedside.segment.engine import EngineRequest, card_capabilities
from bedside.segment.planes import PlaneSegmenter
from bedside.segment.policy import WindowPolicy, usual_policy
from bedside.segment.protocol import Segmenter
from bedside.segment.strategies import EVIDENCE, make_strategy
from bedside.segment.strategy import WindowStrategy
from bedside.segment.window import WindowSegmenter
from bedside.weights.card import WeightsCard


def load_window(request: EngineRequest) -> tuple[Segmenter, Graph]:
    """A segmenter of the window family; one of two dimensions takes volumes slice by slice.

    Raises:
        InputError: The window strategy is unknown.
        BackendError: The runtime cannot load the network.
    """
    card = request.card
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
        _fine_graph(request) if trained_on_fine(request.files.card) else None,
    )
    if card.dimensions == 3:
        return segmenter, graph
    return PlaneSegmenter(segmenter, replace(segmenter.capabilities, dimensions=(2, 3))), graph


def trained_on_fine(card: WeightsCard) -> bool:
    """Whether weights of a network of images were trained on twice the grid, too."""
    return bool(card.settings.get("fine_every"))


def _fine_graph(request: EngineRequest) -> Callable[[], Graph]:
    """The network on twice the grid, loaded once it is called for."""
    card = request.card
    shape = (1, len(card.channels), *(2 * card.grid,) * card.dimensions)

    @functools.cache
    def load() -> Graph:
        return request.backend.load(request.files, shape=shape, device=request.device, precision=request.precision)

    return load


def _windows(chosen: str | WindowPolicy | None, dimensions: int) -> tuple[WindowPolicy, WindowStrategy | None]:
    """The numbers of the strategy by evidence, and another strategy where one is asked for."""
    if isinstance(chosen, WindowPolicy):
        return chosen, None
    return usual_policy(dimensions), None if chosen in (None, EVIDENCE) else make_strategy(chosen, (EVIDENCE,))
