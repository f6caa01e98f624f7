"""The given mask itself: what a model must beat to be worth the correcting."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.prompts import InitialMask, Prompt
from bedside.engines.protocol import Capabilities, Prediction
from bedside.evaluate.baselines import BASELINES
from bedside.evaluate.baselines.window import WindowBaseline, make_prediction


@BASELINES.register("mask")
class MaskBaseline(WindowBaseline):
    """Gives the newest initial mask back; it takes no clicks."""

    name = "mask"
    capabilities = Capabilities(
        dimensions=(2, 3),
        prompt_kinds=frozenset({"mask"}),
        negative_kinds=frozenset(),
        colour=True,
        starts_from=frozenset({"mask"}),
    )

    def predict(
        self, prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None = None, fresh: int = 1
    ) -> Prediction:
        """Return the voxels of the newest mask among ``prompts``."""
        del fresh
        begin = time.perf_counter()
        masks = [p for p in prompts if isinstance(p, InitialMask)]
        if self._image is None or not masks:
            raise PromptError("mask baseline", expected="an image and an initial mask", got="none")
        placed = masks[-1].to_index(self._image.geometry)
        mask = placed.mask[placed.region.slices].astype(np.uint8)
        seconds = {"window": time.perf_counter() - begin, "network": 0.0, "paste": 0.0}
        return make_prediction(mask, placed.region, np.ones(mask.shape, dtype=np.float32), previous, seconds)
