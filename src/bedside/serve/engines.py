"""Models that answer: loaded when first asked, shared by all images, one prediction at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BedsideError
from bedside.core.image import Image
from bedside.core.prompts import Box, Point, Prompt
from bedside.core.stopping import check_stop, not_counted
from bedside.engines.protocol import MOST_CANDIDATES, Capabilities, Prediction, Segmenter
from bedside.serve.messages import Tools
from bedside.serve.model_messages import ModelInfo
from bedside.weights.models import model_card, model_cards
from bedside.weights.store import find_weights

KEPT = 2
"""Models that stay loaded; a third lets go of the one not used for longest."""
_CHEAP = 256**2
"""Cells of a network's input up to which one answer costs next to nothing."""
_TINY = 8


_LOOK = 0.05
"""Seconds between two looks of those who wait for the models whether they still have to."""


class Turns:
    """A lock that is given to those who wait in their order, and that a thread may take again while it has it.

    A thread that was told to end (``core.stopping``) waits no longer, and waiting counts against no time limit.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._waiting: deque[int] = deque()
        self._owner: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the lock in the block.

        Raises:
            StoppedError: The thread was told to end while it waited.
        """
        own = threading.get_ident()
        if self._owner == own:
            yield
            return
        with not_counted():
            self._take(own)
        try:
            yield
        finally:
            with self._change:
                self._owner = None
                self._change.notify_all()

    def _take(self, own: int) -> None:
        with self._change:
            self._waiting.append(own)
            try:
                while self._owner is not None or self._waiting[0] != own:
                    self._change.wait(_LOOK)
                    check_stop()
                self._owner = own
            finally:
                self._waiting.remove(own)
                self._change.notify_all()


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
        self._table = threading.Lock()
        self._turns = Turns()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the models in the block, to load or ask one: one at a time, whoever waits longest next."""
        with self._turns.taken():
            yield

    def get(self, name: str) -> Segmenter:
        """Return the model called ``name``, loaded if it is not.

        Raises:
            BedsideError: It cannot be loaded; the reason is remembered for ``models``.
        """
        # One that is loaded is handed out at once, also while another answer is under way.
        found = self._held(name)
        if found is not None:
            return found
        with self.turn():
            found = self._held(name)
            if found is not None:
                return found
            try:
                made = self._load(name)
            except BedsideError as error:
                self._reasons[name] = str(error)
                raise
            with self._table:
                self._reasons.pop(name, None)
                self._loaded[name] = made
                while len(self._loaded) > KEPT:
                    dropped, _ = self._loaded.popitem(last=False)
                    self._shown.pop(dropped, None)
            return made

    def _held(self, name: str) -> Segmenter | None:
        with self._table:
            if name in self._loaded:
                self._loaded.move_to_end(name)
            return self._loaded.get(name)

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
        with self.turn():
            engine = self.get(name)
            if card.family == "window" and card.grid**card.dimensions <= _CHEAP:
                image = Image.from_array(np.eye(_TINY, dtype=np.uint8))
                self.showing(name, image)
                engine.predict([Box((2.0, 2.0), (6.0, 6.0))])

    def showing(self, name: str, image: Image | None) -> Any:
        """Return the segmenter of the model called ``name``, with an image set; the caller has the ``turn`` while it
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
        with self._engines.turn():
            prediction: Prediction = self._engines.showing(self.name, self._image).predict(prompts, previous, fresh)
        return prediction

    def suggest(self, prompts: Sequence[Prompt], mask: NDArray[np.uint8]) -> Point | None:
        """Return where to click next; see ``Suggesting``."""
        with self._engines.turn():
            click: Point | None = self._engines.showing(self.name, self._image).suggest(prompts, mask)
        return click

    def candidates(self, prompts: Sequence[Prompt], limit: int = MOST_CANDIDATES) -> list[Prediction]:
        """Return what the first prompts may mean; see ``Proposing``."""
        with self._engines.turn():
            found: list[Prediction] = self._engines.showing(self.name, self._image).candidates(prompts, limit)
        return found
