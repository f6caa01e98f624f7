"""Which objects can be drawn, as tables that many samples are looked up in at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bedside.data.store import Item
from bedside.engines.window.sampling.device.buffers import Pyramid
from bedside.train.hashing import Draws

SMALLEST_PLANE = 16
LARGEST_STRETCH = 6.0
"""Planes that are narrower in pixels, or whose pixels are longer than this times their breadth, are of no use."""


@dataclass
class Family:
    """Children of numbered parents, those of one parent next to each other."""

    first: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    total: int = 0

    def add(self, children: int) -> int:
        """Return a further parent; its number."""
        self.first.append(self.total)
        self.count.append(children)
        self.total += children
        return len(self.first) - 1

    def freeze(self) -> Children:
        """As arrays."""
        return Children(np.array(self.first, dtype=np.int64), np.array(self.count, dtype=np.int64))


@dataclass(frozen=True)
class Children:
    """A ``Family`` as arrays."""

    first: NDArray[np.int64]
    count: NDArray[np.int64]

    def pick(self, parents: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
        """Return a random child of each of ``parents``, each as likely as any other."""
        return self.first[parents] + draws.below(np.maximum(self.count[parents], 1))


@dataclass(frozen=True)
class Pool:
    """Objects by kind (images, superpixels), set, item and map.

    Attributes:
        sets: Sets of each kind.
        items: Items of each set.
        maps: Maps of each item.
        objects: Objects of each map.
        item: int64 (objects,), number of the item in the store.
        table: int64 (objects, 3 + 2 * 3), as ``Item.objects``; 2D objects lie in the last two of three axes.
    """

    sets: Children
    items: Children
    maps: Children
    objects: Children
    item: NDArray[np.int64]
    table: NDArray[np.int64]

    def pick(self, kinds: NDArray[np.int64], draws: Draws) -> NDArray[np.int64]:
        """Return (samples,) objects of ``kinds`` with sets: each set as often as any other, then each item, map and
        object.
        """
        return self.objects.pick(self.maps.pick(self.items.pick(self.sets.pick(kinds, draws), draws), draws), draws)


def make_pool(store: Sequence[Item], kinds: Sequence[Sequence[int]]) -> Pool:
    """Return the pool of the items of a store with the given numbers, by kind; sets are in the order of their names."""
    sets, items, maps, objects = Family(), Family(), Family(), Family()
    owners: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    tables: list[NDArray[np.int64]] = [np.zeros((0, 9), dtype=np.int64)]
    for numbers in kinds:
        by_set: dict[str, list[int]] = {}
        for number in numbers:
            by_set.setdefault(store[number].info.set_name, []).append(number)
        sets.add(len(by_set))
        for name in sorted(by_set):
            items.add(len(by_set[name]))
            for number in by_set[name]:
                rows = store[number].objects
                present = np.unique(rows[:, 0])
                maps.add(len(present))
                for map_number in present:
                    of_map = rows[rows[:, 0] == map_number]
                    objects.add(len(of_map))
                    owners.append(np.full(len(of_map), number, dtype=np.int64))
                    tables.append(_in_three_axes(of_map))
    families = (sets.freeze(), items.freeze(), maps.freeze(), objects.freeze())
    return Pool(*families, np.concatenate(owners), np.concatenate(tables))


def _in_three_axes(rows: NDArray[np.int32]) -> NDArray[np.int64]:
    wide = rows.astype(np.int64)
    if wide.shape[1] == 9:
        return wide
    zero, one = np.zeros((len(wide), 1), dtype=np.int64), np.ones((len(wide), 1), dtype=np.int64)
    return np.concatenate([wide[:, :3], zero, wide[:, 3:5], one, wide[:, 5:]], axis=1)


@dataclass(frozen=True)
class LevelTable:
    """The levels of many pyramids.

    Attributes:
        first: int64 (pyramids,), number of the level of full size.
        coarseness: float64 (pyramids, most levels), mean length of a cell in voxels, infinite beyond the last level.
        factor: float64 (levels, 3).
        shape: int64 (levels, 3), 1 along an axis that images lack.
        start: int64 (levels, 3), where image, first and second begin in their buffers.
    """

    first: NDArray[np.int64]
    coarseness: NDArray[np.float64]
    factor: NDArray[np.float64]
    shape: NDArray[np.int64]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, pyramids: Sequence[Pyramid], kept: Sequence[tuple[int, ...]]) -> LevelTable:
        """Return the table of pyramids; ``kept`` names the axes of each that are not averaged over."""
        most = max((len(p) for p in pyramids), default=1)
        coarseness = np.full((len(pyramids), most), np.inf)
        levels = [level for pyramid in pyramids for level in pyramid]
        for row, (pyramid, axes) in enumerate(zip(pyramids, kept, strict=True)):
            for column, level in enumerate(pyramid):
                free = [f for a, f in enumerate(level.factor) if a not in axes]
                coarseness[row, column] = float(np.prod(free)) ** (1 / len(free))
        ends = np.cumsum([0, *[len(p) for p in pyramids]])[:-1]
        lift = [(1,) * (3 - len(level.shape)) for level in levels]
        return cls(
            ends.astype(np.int64),
            coarseness,
            np.array([(*one, *level.factor) for one, level in zip(lift, levels, strict=True)], dtype=np.float64),
            np.array([(*one, *level.shape) for one, level in zip(lift, levels, strict=True)], dtype=np.int64),
            np.array([(level.image, level.first, level.second) for level in levels], dtype=np.int64),
        )

    def pick(self, pyramids: NDArray[np.int64], cell: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the coarsest level of each pyramid whose cells are no longer than ``cell`` voxels."""
        fitting = (self.coarseness[pyramids] <= cell[:, None] * (1 + 1e-6)).sum(axis=1)
        levels: NDArray[np.int64] = self.first[pyramids] + np.maximum(fitting - 1, 0)
        return levels

    def pick_by_axis(self, pyramids: NDArray[np.int64], cell: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the coarsest level of each pyramid whose cells are, along the axes that it halves, no longer than
        asked.

        Voxels of volumes are often far longer along one axis, which is then not halved and has no say.

        Args:
            pyramids: (samples,).
            cell: (samples, 3), length in voxels along each axis.
        """
        exists = np.isfinite(self.coarseness[pyramids])
        column = np.arange(exists.shape[1])
        numbers = np.minimum(self.first[pyramids, None] + column, len(self.factor) - 1)
        factor = self.factor[numbers]
        # Axes of one window differ by its stretch, so that their mean decides.
        longer = np.log(factor / cell[:, None, :]) * (factor > 1)
        fitting = exists & (longer.sum(axis=2) <= 1e-6)
        # Full size fits always.
        levels: NDArray[np.int64] = self.first[pyramids] + (fitting * column).max(axis=1)
        return levels


def usable_axes(shape: Sequence[int], spacing: Sequence[float]) -> list[int]:
    """Return axes of a volume to cut across whose planes are neither a few pixels wide nor stretched beyond use."""
    axes = []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        stretch = max(spacing[a] for a in others) / min(spacing[a] for a in others)
        if min(shape[a] for a in others) >= SMALLEST_PLANE and stretch <= LARGEST_STRETCH:
            axes.append(axis)
    return axes


def slice_regions(mask: NDArray[np.bool_], axis: int) -> NDArray[np.int64]:
    """Return slices of a mask in which it is present.

    Args:
        mask: (z, y, x).
        axis: Across which it is cut.

    Returns:
        (slices, 6): number of the slice, pixels, start and stop of the mask along each of the other two axes.
    """
    others = [a for a in range(3) if a != axis]
    area = mask.sum(axis=tuple(others))
    present = np.flatnonzero(area)
    columns = [present, area[present]]
    stops = []
    for position, other in enumerate(others):
        rest = others[1 - position]
        profile: NDArray[np.bool_] = np.asarray(mask.any(axis=rest))
        profile = profile if axis < other else profile.T
        length = profile.shape[1]
        columns.append(profile.argmax(axis=1)[present])
        stops.append(length - profile[:, ::-1].argmax(axis=1)[present])
    return np.stack([*columns, *stops], axis=1).astype(np.int64)
