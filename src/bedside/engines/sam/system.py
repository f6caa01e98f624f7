"""What a system of the SAM family wants: one frozen description each, read by the engine in ``slices``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside.engines.sam.framing import Frame, Framing, SliceKernel

Corners = tuple[float, float, float, float]
"""x0, y0, x1, y1 of a box that holds its last pixels, as the challenge writes them."""


@dataclass(frozen=True, eq=False)
class View:
    """One slice as a system sees it.

    Attributes:
        pixels: float32 (3, side, side), 0 to 1: what its image encoder gets.
        colours: uint8 (y, x, 3), the slice at its own resolution.
        frame: Where the slice lies on the grid.
        modality: As the challenge names it; None where unknown.
    """

    pixels: NDArray[np.float32]
    colours: NDArray[np.uint8]
    frame: Frame
    modality: str | None


Prompter = Callable[[View, Corners, Corners], Mapping[str, NDArray[Any]]]
"""Further inputs of the decoder for a box: in the slice's pixels, as it was given or else the extent of the mask before
with ``System.room`` around it; and on the grid, as the decoder gets it."""


def no_more(view: View, corners: Corners, on_grid: Corners) -> Mapping[str, NDArray[Any]]:
    """Return no further inputs: the box is enough."""
    del view, corners, on_grid
    return {}


@dataclass(frozen=True)
class System:
    """How a system sees slices, takes boxes, draws masks and follows an object through a volume.

    Attributes:
        name: In the registry.
        side: Side of the input, in pixels.
        framing: "pad" keeps the aspect and fills up on the right and below; "stretch" does not keep it.
        kernel: By which slices are brought to the input's size.
        whole_boxes: Whether a box's corners on the grid are cut to whole pixels.
        half_pixel: Whether the network's half pixel is added to corners; else they are proportions of the image.
        answer_side: Side to which the 256 x 256 logits are enlarged before they are brought to the slice's size.
        probabilities: Whether probabilities and not logits are brought to the slice's size.
        follow: Where the mask is measured that gives the next slice's box: on the grid, or at full size.
        margin: By how much that box is enlarged on each side, in 256ths of the grid's side.
        wide_map: Whether the map that gives the next box holds numbers of 16 bits and not bytes.
        room: By how much it is enlarged where it is measured in the slice's own pixels, for ``prompter``.
        first_slice: Whether the team's own code predicts the first slice of a box.
        last_slice: Whether it predicts the last.
        middle_within: Whether it cuts a box to the volume before it takes the middle.
        prompter: Makes the prompts that go with a box.
        second: The system as another public inference of the same weights has it; None where there is but one.
    """

    name: str
    side: int
    framing: Framing = "pad"
    kernel: SliceKernel = "area"
    whole_boxes: bool = True
    half_pixel: bool = True
    answer_side: int = 256
    probabilities: bool = False
    follow: Literal["grid", "image"] = "grid"
    margin: float = 3.0
    wide_map: bool = False
    room: int = 3
    first_slice: bool = True
    last_slice: bool = True
    middle_within: bool = False
    prompter: Prompter = field(default=no_more)
    second: System | None = None
