"""The box itself as the mask: what a model must beat to be worth anything."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.image import Image
from bedside.core.prompts import Prompt
from bedside.engines.protocol import Capabilities, Prediction
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.baselines.window import make_prediction, place_all, positive_box


@BASELINES.register("box")
class BoxBaseline:
    """Fills the box; clicks change nothing."""

    name = "box"
    capabilities = Capabilities(
        dimensions=(2, 3),
        prompt_kinds=frozenset({"box", "point", "scribble"}),
        negative_kinds=frozenset({"point", "scribble"}),
        colour=True,
        starts_from=frozenset({"box"}),
    )

    def __init__(self) -> None:
        self._image: Image | None = None

    def set_image(self, image: Image) -> None:
        """Prompts that follow refer to ``image``."""
        self._image = image

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Return the union of the positive boxes' extent."""
        del fresh
        begin = time.perf_counter()
        if self._image is None:
            raise PromptError("prompt", expected="an image to be set first")
        box = positive_box(place_all(prompts, self._image.geometry), self._image.shape)
        if box is None:
            raise PromptError("box baseline", expected="a positive box", got="none")
        mask = np.ones(box.shape, dtype=np.uint8)
        seconds = {"window": time.perf_counter() - begin, "network": 0.0, "paste": 0.0}
        return make_prediction(mask, box, np.ones(box.shape, dtype=np.float32), previous, seconds)
