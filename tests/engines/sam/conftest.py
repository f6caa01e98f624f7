"""Graphs whose answers can be foreseen, behind the engine of the SAM family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside.engines.sam.load import BOXES, SYSTEMS
from bedside.engines.sam.policy import SlicePolicy
from bedside.engines.sam.slices import Network, SliceSegmenter
from bedside.imaging.resize import resize_matrix

LOGITS = 256


class Encoder:
    """Keeps the brightness at the size of logits as the embedding, and every image."""

    device, precision = "CPU", "fp32"

    def __init__(self, side: int) -> None:
        self.side = side
        self.images: list[NDArray[np.float32]] = []

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        image = inputs["image"]
        assert image.shape == (1, 3, self.side, self.side)
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1
        self.images.append(image.copy())
        shrink = resize_matrix("area", LOGITS, self.side)
        return {"embedding": shrink @ image[0].mean(axis=0) @ shrink.T}


class Decoder:
    """Finds what is bright within the box, and keeps what it was given."""

    device, precision = "CPU", "fp32"

    def __init__(self, side: int) -> None:
        self.side = side
        self.given: list[dict[str, NDArray[Any]]] = []

    @property
    def boxes(self) -> list[list[float]]:
        return [given["boxes"][0].tolist() for given in self.given]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        assert inputs["boxes"].shape == (1, 4)
        assert inputs["boxes"].dtype == np.float32
        self.given.append({name: value for name, value in inputs.items() if name != "embedding"})
        x0, y0, x1, y1 = (inputs["boxes"][0] + 0.5) * LOGITS / self.side
        centres = np.arange(LOGITS) + 0.5
        within = np.outer((centres > y0 - 1) & (centres < y1 + 1), (centres > x0 - 1) & (centres < x1 + 1))
        return {"logits": np.where(within, inputs["embedding"] - 0.5, -1.0)[None, None].astype(np.float32)}


@pytest.fixture
def make_segmenter() -> Callable[..., tuple[SliceSegmenter, Encoder, Decoder]]:
    """Makes a segmenter around a system without its further prompts: ``(name, policy=..., **changes)``."""

    def make(name: str = "lite-medsam", policy: SlicePolicy | None = None, **changes: Any) -> Any:
        system = replace(SYSTEMS[name], **changes)
        encoder, decoder = Encoder(system.side), Decoder(system.side)
        network = Network(system, encoder, decoder)
        return SliceSegmenter(name, lambda _: network, BOXES, policy or SlicePolicy()), encoder, decoder

    return make
