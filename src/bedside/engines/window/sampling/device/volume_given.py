"""Windows that no volume holds: images continued along a third axis, and synthetic shapes.

The loader's workers make them one by one, as ``sampling.volume_sampler`` does, and send two bytes a cell; appearance,
prompts and first masks follow on the device with those of all other samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bedside.data.store import Item
from bedside.engines.window.sampling.device.plane_windows import BOX, CLOSE, WIDE
from bedside.engines.window.sampling.synthetic import synthetic_window
from bedside.engines.window.sampling.volume_sampler import MINIMUM_CELLS, draw_extruded, pick_item, plane_pool
from bedside.train.sampling import SamplingConfig

LABELLED, INSERTED, SYNTHETIC, EXTRUDED = range(4)
"""Where a window comes from: an object of a volume in the device's memory, such a volume and a shape that is drawn into
it, random shapes, or an image. The last two are made here."""
MODES = {BOX: "box", WIDE: "wide", CLOSE: "close"}
TRUTH, INSIDE = 1, 2
"""Bits of a cell: whether it is of the object, and whether it lies in the image."""
CUT = (0.002, 0.998)
"""Quantiles between which 256 values lie; what is beyond is clipped later in any case."""
RANKED_STEP = 7


class GivenWindows:
    """Makes windows.

    Args:
        items: Items of the store; those with two axes are continued.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._planes = plane_pool(items)

    @property
    def has_planes(self) -> bool:
        """Whether there is an image to continue."""
        return bool(self._planes)

    def draw(
        self, source: int, mode: int, config: SamplingConfig, generator: np.random.Generator
    ) -> NDArray[np.uint8] | None:
        """Return a window, or None where what was drawn is of no use.

        Args:
            source: ``SYNTHETIC`` or ``EXTRUDED``.
            mode: How the sample begins, see ``plane_windows``.
            config: How samples are drawn.
            generator: Source of randomness.

        Returns:
            uint8 (2, grid, grid, grid): the image, and ``TRUTH`` and ``INSIDE`` of each cell.
        """
        inside = np.ones((config.grid,) * 3, dtype=np.bool_)
        if source == SYNTHETIC:
            made = synthetic_window((1, *inside.shape), generator)
            if made is None:
                return None
            image, truth = made[0][0], made[1]
        else:
            item = pick_item(self._planes, generator)
            image, truth, inside = draw_extruded(item, MODES[mode], config, generator)
        if int(truth.sum()) < MINIMUM_CELLS:
            return None
        return np.stack([as_bytes(image), TRUTH * truth + INSIDE * inside.astype(np.uint8)])


def as_bytes(image: Tensor) -> NDArray[np.uint8]:
    """Return an image of any range as uint8 of the same shape."""
    values = image.numpy().astype(np.float32, copy=False)
    low, high = np.quantile(values.reshape(-1)[::RANKED_STEP], CUT)
    if high <= low:
        low, high = values.min(), values.max()
    scaled = (values - low) * (255 / max(float(high - low), 1e-6))
    levels: NDArray[np.uint8] = np.rint(scaled.clip(0, 255)).astype(np.uint8)
    return levels
