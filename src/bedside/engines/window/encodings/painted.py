"""Bedside's own encoding: prompts painted as they look, in channels for areas and marks of either sign."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bedside.core.prompts import Prompt
from bedside.engines.window.encodings import DEFAULT, ENCODINGS, PromptEncoding
from bedside.imaging.paint import CHANNELS, click_values, paint_prompts

if TYPE_CHECKING:
    from torch import Tensor


class PaintedEncoding(PromptEncoding):
    """Boxes and lassos filled, clicks and scribbles with a soft brush; values 0 to 1 that combine by maximum."""

    channels = ("previous mask", *CHANNELS)
    previous = 0
    positive_click = 1 + CHANNELS.index("click or scribble, positive")
    negative_click = 1 + CHANNELS.index("click or scribble, negative")

    def paint(
        self, prompts: Sequence[Prompt], grid: Sequence[int], area: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """See ``PromptEncoding``."""
        painted = paint_prompts(prompts, grid)
        if area is not None:
            np.maximum(painted[0], area, out=painted[0])
        return painted

    def with_click(self, channel: Tensor, squared: Tensor, active: Tensor) -> Tensor:
        """See ``PromptEncoding``."""
        return channel.maximum(click_values(squared) * active)


ENCODINGS.register(DEFAULT)(PaintedEncoding())
