"""A packed store in the memory of a device: all images and label maps in three flat buffers.

Which bytes make up an image is kept as whole numbers beside them, so that one gather reads windows of many images of
different sizes, planes of volumes among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bedside.data.store import Item
from bedside.engines.window.sampling.device.pyramid import FULL, Axes, Entry, halve_image, halve_labels, halving_steps

LOWEST, HIGHEST = -32_768, 32_767


@dataclass(frozen=True)
class Level:
    """Where one level of an item lies in the buffers.

    Attributes:
        factor: Voxels of the item that a cell of the level holds along each axis.
        shape: Cells along each axis.
        image: Where its image begins; channels lie one after the other.
        first: Where the most frequent values of its first map begin; maps lie one after the other.
        second: The same of the second most frequent values; 0, where nothing lies, at full size.
    """

    factor: Axes
    shape: Axes
    image: int
    first: int
    second: int

    @property
    def cells(self) -> int:
        """Of one channel or map."""
        return int(np.prod(self.shape))


Pyramid = tuple[Level, ...]
"""From full size to the coarsest."""


@dataclass(frozen=True)
class Buffers:
    """What lies in the device's memory.

    Attributes:
        image: int16, every item shifted and scaled to fill the range: windows are normalised anyhow.
        first: int32, most frequent value of each cell of the label maps times 256 plus its cover.
        second: int32, the same of the second most frequent value; its first cell is empty.
    """

    image: Tensor
    first: Tensor
    second: Tensor

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.image.nbytes + self.first.nbytes + self.second.nbytes


@dataclass
class BufferWriter:
    """Collects arrays on the CPU; ``finish`` brings them to a device at once."""

    _parts: dict[str, list[NDArray[np.generic]]] = field(
        default_factory=lambda: {"image": [], "first": [], "second": [np.zeros(1, dtype=np.int32)]}
    )
    _ends: dict[str, int] = field(default_factory=lambda: {"image": 0, "first": 0, "second": 1})

    def add(self, item: Item, kept: Sequence[Axes]) -> list[Pyramid]:
        """Append an item with the pyramids that keep the axes given; all share the level of full size.

        Args:
            item: Item of the store.
            kept: For each pyramid the axes that it does not halve.
        """
        image = channels_first(item)
        image = image - _middle(image)
        image = image * _scale(image)
        entries = [(Entry(m.astype(np.int32), np.full(m.shape, FULL, dtype=np.uint8)),) for m in item.maps]
        full = self._write(image, entries, (1,) * item.axes)
        spacing = item.info.spacing or (1.0,) * item.axes
        return [self._halved(full, image, entries, halving_steps(full.shape, spacing, axes)) for axes in kept]

    def finish(self, device: torch.device) -> Buffers:
        """Return all that was added."""
        arrays = {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in self._parts.items()}
        self._parts.clear()
        return Buffers(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()})

    def _halved(
        self,
        full: Level,
        image: NDArray[np.float32],
        entries: Sequence[tuple[Entry, ...]],
        steps: list[Axes],
    ) -> Pyramid:
        levels = [full]
        for before, factor in pairwise(steps):
            axes = tuple(a for a in range(len(factor)) if factor[a] > before[a])
            image = halve_image(image, tuple(a + 1 for a in axes))
            entries = [halve_labels(e, axes) for e in entries]
            levels.append(self._write(image, entries, factor))
        return tuple(levels)

    def _write(self, image: NDArray[np.float32], entries: Sequence[tuple[Entry, ...]], factor: Axes) -> Level:
        begin = self._append("image", [np.rint(image).clip(LOWEST, HIGHEST).astype(np.int16)])
        first = self._append("first", [e[0].packed() for e in entries])
        second = self._append("second", [e[1].packed() for e in entries]) if len(entries[0]) > 1 else 0
        return Level(factor, image.shape[1:], begin, first, second)

    def _append(self, name: str, arrays: Sequence[NDArray[np.generic]]) -> int:
        begin = self._ends[name]
        for array in arrays:
            self._parts[name].append(array.reshape(-1))
            self._ends[name] += array.size
        return begin


def channels_first(item: Item) -> NDArray[np.float32]:
    """Return the image as float32 (channels, [z,] y, x), one channel or three."""
    image = item.image.astype(np.float32)
    return np.moveaxis(image, -1, 0) if image.ndim > item.axes else image[None]


def _middle(image: NDArray[np.float32]) -> np.float32:
    """Return a whole number, so that whole numbers stay whole."""
    return np.float32(np.ceil((float(image.min()) + float(image.max())) / 2))


def _scale(image: NDArray[np.float32]) -> np.float32:
    """Return the largest power of two by which an image shifted to its middle still fits."""
    return np.float32(2.0 ** np.floor(np.log2(-LOWEST / max(float(np.abs(image).max()), 1e-6))))
