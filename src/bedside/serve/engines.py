"""Models that answer: loaded when first asked, shared by all images, one prediction at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BedsideError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point, Prompt
from bedside.engines.protocol import MOST_CANDIDATES, Capabilities, Prediction, Segmenter
from bedside.serve.messages import ModelInfo, Tools
from bedside.weights.models import model_card, model_cards
from bedside.weights.store import find_weights

KEPT = 2
"""Models that stay loaded; a third lets go of the one not used for longest."""
_CHEAP = 256**2
"""Cells of a network's input up to which one answer costs next to nothing."""
_TINY = 8


def _load(name: str) -> Segmenter:
    from bedside.engines import load_segmenter

    return load_segmenter(name)


class Engines:
    """Loaded models by name.

    Args:
        load: Makes a segmenter of a model's name.
    """

    def __init__(self, load: Callable[[str], Segmenter] = _load) -> None:
        self._load = load
        self._loaded: OrderedDict[str, Segmenter] = OrderedDict()
        self._shown: dict[str, Image] = {}
        self._reasons: dict[str, str] = {}
        self.guard = threading.RLock()
        """Held while a model is loaded or asked."""

    def get(self, name: str) -> Segmenter:
        """Return the model called ``name``, loaded if it is not.

        Raises:
            BedsideError: It cannot be loaded; the reason is remembered for ``models``.
        """
        with self.guard:
            if name not in self._loaded:
                try:
                    self._loaded[name] = self._load(name)
                except BedsideError as error:
                    self._reasons[name] = str(error)
                    raise
                self._reasons.pop(name, None)
                while len(self._loaded) > KEPT:
                    dropped, _ = self._loaded.popitem(last=False)
                    self._shown.pop(dropped, None)
            self._loaded.move_to_end(name)
            return self._loaded[name]

    def loaded(self, name: str) -> bool:
        """Return whether a model is ready to be asked."""
        return name in self._loaded

    def capabilities(self, name: str) -> Capabilities:
        """Return what a model takes: as it says itself, or as its card says where it cannot be loaded now.

        Raises:
            InputError: No model has that name.
        """
        try:
            return self.get(name).capabilities
        except BedsideError:
            from bedside.engines.loaded import card_capabilities

            card = model_card(name)
            return card_capabilities(card, (2, 3) if card.dimensions == 2 else (card.dimensions,))

    def warm_up(self, name: str) -> None:
        """Load a model and, where that is cheap, ask it once: first answers wait for memory and late imports.

        Raises:
            BedsideError: It cannot be loaded.
        """
        card = model_card(name)
        with self.guard:
            engine = self.get(name)
            if card.family == "window" and card.grid**card.dimensions <= _CHEAP:
                image = Image.from_array(np.eye(_TINY, dtype=np.uint8))
                self.showing(name, image)
                engine.predict([Box((2.0, 2.0), (6.0, 6.0))])

    def showing(self, name: str, image: Image | None) -> Any:
        """Return the segmenter of the model called ``name``, with an image set; the caller holds ``guard`` while it
        predicts.
        """
        loaded = self.get(name)
        engine = getattr(loaded, "segmenter", loaded)
        if image is not None and self._shown.get(name) is not image:
            engine.set_image(image)
            self._shown[name] = image
        return engine

    def tools(self, name: str) -> Tools:
        """Return what a model takes: as it says where it is loaded, otherwise as its card says."""
        engine = self._loaded.get(name)
        if engine is not None:
            can = engine.capabilities.to_dict()
            known = {field: can[field] for field in Tools.model_fields if field in can}
            return Tools(**known, suggest=can["suggests"], candidates=can["proposes"], quality=can["estimates"])
        card = model_card(name)
        kinds = sorted(card.prompt_kinds)
        return Tools(
            dimensions=[2, 3] if card.dimensions == 2 else [card.dimensions],
            prompt_kinds=kinds,
            negative_kinds=sorted(card.negative_kinds),
            starts_from=kinds,
        )

    def models(self) -> list[ModelInfo]:
        """Return all models of the registry, and why one cannot be chosen."""
        found = []
        for card in model_cards():
            reason = self._reason(card.name)
            found.append(
                ModelInfo(
                    name=card.name,
                    family=card.family,
                    summary=card.summary,
                    parameters=card.parameters,
                    licence=card.licence,
                    available=reason is None,
                    reason=reason,
                    loaded=card.name in self._loaded,
                    tools=self.tools(card.name),
                )
            )
        return found

    def _reason(self, name: str) -> str | None:
        if name in self._loaded:
            return None
        try:
            find_weights(name)
        except BedsideError as error:
            return str(error)
        return self._reasons.get(name)


class SharedModel:
    """A model as the session of one image has it: all images share it, each through one of these.

    The model itself is loaded when its answer, or what it can do, is first needed, so that an image opens at once.

    Args:
        engines: Where the model is.
        name: The model.
    """

    def __init__(self, engines: Engines, name: str) -> None:
        self.name = name
        self._engines = engines
        self._image: Image | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the model takes."""
        return self._engines.capabilities(self.name)

    @property
    def weights(self) -> str:
        """Checksum of the model's weights; empty where it has none."""
        return str(getattr(self._engines.get(self.name), "weights_sha256", ""))

    def set_image(self, image: Image) -> None:
        """Keep the image for when the model is asked."""
        self._image = image

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Answer the prompts; see ``Segmenter``."""
        with self._engines.guard:
            prediction: Prediction = self._engines.showing(self.name, self._image).predict(prompts, previous, fresh)
        return prediction

    def suggest(self, prompts: Sequence[Prompt], mask: NDArray[np.uint8]) -> Point | None:
        """Return where to click next; see ``Suggesting``."""
        with self._engines.guard:
            click: Point | None = self._engines.showing(self.name, self._image).suggest(prompts, mask)
        return click

    def candidates(self, prompts: Sequence[Prompt], limit: int = MOST_CANDIDATES) -> list[Prediction]:
        """Return what the first prompts may mean; see ``Proposing``."""
        with self._engines.guard:
            found: list[Prediction] = self._engines.showing(self.name, self._image).candidates(prompts, limit)
        return found
