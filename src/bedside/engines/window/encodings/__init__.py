"""How prompts become channels of a window network's input: the contract, and the encodings by name.

A model's card names its encoding (``encoding``, "painted" where it names none), and its input channels are those of the
image followed by those of the encoding. Inference, the samplers of training and its correction rounds ask the encoding
and know no channel by its number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Prompt
from bedside.core.registry import Registry
from bedside.imaging.paint import CLICK_RADIUS
from bedside.weights.models import ModelCard

if TYPE_CHECKING:
    from torch import Tensor

Array = TypeVar("Array")

IMAGE_CHANNELS = {2: 3, 3: 1}
"""Channels of the image before those of the encoding, by the network's dimensions: colours, or an intensity."""


class PromptEncoding(ABC):
    """Turns prompts into channels, one file for an encoding.

    ``paint`` and ``with_click`` must agree: a click has the same values in inference, on NumPy, as in the correction
    rounds of training, on torch.

    Attributes:
        channels: What each channel holds, in the order of the network's input; one of them is the previous mask.
        previous: Index in ``channels`` of the mask of the round before, 0 or 1 in every cell; all 0 without one.
        positive_click: Index of the channel that a click on the object changes.
        negative_click: Index of the channel that a click beside the object changes.
        click_radius: Cells about a click within which it is meant to change the mask: there the logits are bent where
            the network does not follow a click, and doubts are summed up where one is suggested.
    """

    channels: tuple[str, ...]
    previous: int
    positive_click: int
    negative_click: int
    click_radius: float = CLICK_RADIUS

    @abstractmethod
    def paint(
        self, prompts: Sequence[Prompt], grid: Sequence[int], area: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Paint the prompts of one window.

        Args:
            prompts: In the frame ``index`` of the grid, (x, y[, z]) order, oldest first. Initial masks among them are
                for the previous mask's channel and are not painted.
            grid: Cells along each axis, array order.
            area: float32 0/1 of ``grid``, the inside of one more positive lasso; None for none. Simulated users draw
                lassos as areas.

        Returns:
            float32 (channels - 1, *grid), all channels but that of the previous mask, in their order.
        """

    @abstractmethod
    def with_click(self, channel: Tensor, squared: Tensor, active: Tensor) -> Tensor:
        """Paint one more click in a channel of a batch.

        Args:
            channel: float32 (batch, *grid), the channel that takes clicks of this sign.
            squared: float32 of the same shape, squared distance of each cell from the click in cells.
            active: bool (batch, 1, 1[, 1]), False for samples that get no click.

        Returns:
            A new tensor of the same shape.
        """

    def arrange(self, previous: Array, painted: Array, axis: int = 0) -> list[Array]:
        """Return the parts of all channels in their order, to be concatenated along ``axis``.

        Args:
            previous: The previous mask with a channel's axis.
            painted: The other channels, as ``paint`` gives them.
            axis: Axis of the channels: 0 for one sample, 1 for a batch.
        """
        before: tuple[Any, ...] = (slice(None),) * axis
        values: Any = painted
        return [values[(*before, slice(self.previous))], previous, values[(*before, slice(self.previous, None))]]


ENCODINGS: Registry[PromptEncoding] = Registry("encoding", "bedside.engines.window.encodings", PromptEncoding)
DEFAULT = "painted"


def card_encoding(card: ModelCard) -> PromptEncoding:
    """Return the encoding that a model's card names, held against the channels that it lists.

    Raises:
        InputError: There is no such encoding, or the card lists other channels.
    """
    encoding = ENCODINGS.get(card.encoding)
    count = len(encoding.channels)
    if card.channels[-count:] != encoding.channels or len(card.channels) - count != IMAGE_CHANNELS[card.dimensions]:
        raise InputError(
            f"channels of '{card.name}'",
            expected=f"{IMAGE_CHANNELS[card.dimensions]} of the image, then those of the encoding '{card.encoding}': "
            + ", ".join(encoding.channels),
            got=", ".join(card.channels) or "none",
            fix="name the encoding of the model on its card",
        )
    return encoding
