"""What every engine is given, as it lies in the image: prompts that were checked, and the mask to start from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import PromptError
from bedside.core.image import Image
from bedside.core.placed import place_prompts
from bedside.core.prompts import InitialMask, Prompt
from bedside.core.stopping import check_stop
from bedside.engines.protocol import Capabilities
from bedside.imaging.window import Window
from bedside.runtime.backend import Graph

INPUT, OUTPUT = "input", "logits"


@dataclass
class Clock:
    """Seconds per stage of one prediction, and how often a network ran; all passes go through here."""

    seconds: dict[str, float] = field(default_factory=lambda: {"window": 0.0, "network": 0.0, "paste": 0.0})
    passes: int = 0

    def run(self, graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run a network and count it, unless the prediction is to end; returns its outputs by name.

        Raises:
            StoppedError: It is (see ``core.stopping``).
        """
        check_stop()
        began = time.perf_counter()
        outputs = graph.run(inputs)
        self.seconds["network"] += time.perf_counter() - began
        self.passes += 1
        return outputs


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """A mask of one region of the image; outside it there is nothing.

    Attributes:
        mask: uint8 0/1 of the region's shape.
        start: First voxel of the region.
    """

    mask: NDArray[np.uint8]
    start: tuple[int, ...]

    def sample(self, window: Window) -> NDArray[np.float32]:
        """Return the mask on the window's grid, float32 0/1 (1, *grid)."""
        values, _ = window.shifted([-s for s in self.start]).sample(self.mask)
        return (values > 0.5).astype(np.float32)


def check_prompts(prompts: Sequence[Prompt], image: Image, capabilities: Capabilities) -> Sequence[Prompt]:
    """Return the prompts in the frame ``index``, each checked against the segmenter and, if it was not yet, the image.

    Raises:
        PromptError: There is none, or one lies outside the image or is of a kind the segmenter cannot take.
    """
    if not prompts:
        raise PromptError("prediction", expected="at least one prompt", got="none")
    for prompt in prompts:
        kinds = capabilities.prompt_kinds if prompt.positive else capabilities.negative_kinds
        if prompt.kind not in kinds:
            sign = "" if prompt.positive else "negative "
            raise PromptError(
                f"{sign}{prompt.kind} prompt", expected=f"one of {', '.join(sorted(kinds))}", got=prompt.kind
            )
    placed = place_prompts(prompts, image.geometry)
    if not any(p.positive for p in placed):
        raise PromptError("prediction", expected="at least one positive prompt", got="negative ones only")
    return placed


def starting_mask(prompts: Sequence[Prompt], previous: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Return the mask to start from: ``previous`` where it holds anything, else the newest initial mask."""
    if previous is not None and previous.any():
        return previous
    for prompt in reversed(prompts):
        if isinstance(prompt, InitialMask):
            return prompt.mask.astype(np.uint8)
    return None
