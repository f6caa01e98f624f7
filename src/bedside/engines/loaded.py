"""What makes a segmenter of one family from its files: the contract that the table in ``load`` lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.image import Image
from bedside.core.no_data import is_blank
from bedside.core.prompts import Point, Prompt
from bedside.core.pyramid import overview_of
from bedside.engines.protocol import (
    MOST_CANDIDATES,
    Capabilities,
    Numbering,
    Prediction,
    Proposing,
    Segmenter,
    Suggesting,
)
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.uncertainty import Calibration
from bedside.engines.window.policy import WindowPolicy
from bedside.runtime.backend import Backend, Device, Graph, Precision
from bedside.weights.licence import TERMS, licence_notice
from bedside.weights.models import ModelCard
from bedside.weights.store import WeightsFiles


@dataclass(frozen=True, eq=False)
class EngineRequest:
    """What an engine is made from.

    Attributes:
        card: The model.
        files: Its weights, whose checksum is right.
        backend: The runtime that is to load them.
        device: Where they are to run.
        precision: What they are to compute in.
        window: Name of the strategy that chooses windows, or the numbers of the strategy by evidence; None for the
            engine's own. An engine without windows rejects anything else.
        slices: How volumes are predicted slice by slice, of the family "sam" only; None for its own.
        calibration: Curve by which the DSC of predictions is estimated; None for no estimates.
    """

    card: ModelCard
    files: WeightsFiles
    backend: Backend
    device: Device
    precision: Precision
    window: str | WindowPolicy | None = None
    slices: SlicePolicy | None = None
    calibration: Calibration | None = None


Engine = Callable[[EngineRequest], tuple[Segmenter, Graph]]
"""Loads the network and returns a segmenter around it, with the graph that says where it runs."""


class LoadedSegmenter:
    """A segmenter that was made from files, with what a manifest says of it.

    Args:
        segmenter: What predictions.
        graph: Its network.
        request: What it was made from.

    Attributes:
        name: Name of the model.
        capabilities: What prompts it takes.
        runtime: Name of the runtime.
        device: Where the network runs.
        precision: What it computes in.
        weights_sha256: Checksum of its weights.
        experts: Checksum of the weights of each further network that may predict in its place, by their stem.
        notice: One line that has to be shown of the weights' licence; None where it sets no conditions of use.
        segmenter: What predictions, for a wrapper that takes the place of this one.
    """

    def __init__(self, segmenter: Segmenter, graph: Graph, request: EngineRequest) -> None:
        card = request.files.card
        self.name = segmenter.name
        self.capabilities = segmenter.capabilities
        self.runtime = request.backend.name
        self.device = graph.device
        self.precision = graph.precision
        self.weights_sha256 = card.sha256
        self.experts: Mapping[str, str] = getattr(segmenter, "experts", {})
        self.notice = licence_notice(self.name, card.licence) if card.licence in TERMS else None
        self.segmenter = segmenter

    def set_image(self, image: Image) -> None:
        """Prepare ``image``; see ``protocol.Segmenter``.

        Raises:
            InputError: No sample of the image is a number, so that every mask would be made up.
        """
        if is_blank(overview_of(image.array)):
            raise InputError(image.source or "image", expected="numbers", got="samples that are all NaN or infinite")
        self.segmenter.set_image(image)

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Predict the prompts; see ``protocol.Segmenter``."""
        return self.segmenter.predict(prompts, previous, fresh)

    def predict_object(self, prompts: Sequence[Prompt], number: int) -> Prediction:
        """Predict the prompts of one of several objects; see ``protocol.Numbering``."""
        if isinstance(self.segmenter, Numbering):
            return self.segmenter.predict_object(prompts, number)
        return self.segmenter.predict(prompts)

    def suggest(self, prompts: Sequence[Prompt], mask: NDArray[np.uint8]) -> Point | None:
        """Return where a click would help most; see ``protocol.Suggesting``.

        Raises:
            InputError: The model does not say.
        """
        if not isinstance(self.segmenter, Suggesting):
            raise InputError(f"model '{self.name}'", expected="one that suggests clicks", got="one that does not")
        return self.segmenter.suggest(prompts, mask)

    def candidates(self, prompts: Sequence[Prompt], limit: int = MOST_CANDIDATES) -> list[Prediction]:
        """Return what the first prompts may mean; see ``protocol.Proposing``.

        Raises:
            InputError: The model does not say.
        """
        if not isinstance(self.segmenter, Proposing):
            raise InputError(f"model '{self.name}'", expected="one that proposes masks", got="one that does not")
        return self.segmenter.candidates(prompts, limit)


def card_capabilities(card: ModelCard, dimensions: tuple[int, ...], *, flat_boxes: bool = False) -> Capabilities:
    """Return what the card of a model says of its prompts, for images of ``dimensions`` axes."""
    return Capabilities(
        dimensions=dimensions,
        prompt_kinds=frozenset(card.prompt_kinds),
        negative_kinds=frozenset(card.negative_kinds),
        colour="red" in card.channels,
        starts_from=frozenset(card.prompt_kinds),
        flat_boxes=flat_boxes,
    )
