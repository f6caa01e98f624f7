"""Drawing of windows of images and of slices of volumes, many at once.

The distributions are those of ``sampling.sampler``; what is drawn is a few numbers a sample, see ``PlaneWindows.draw``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.data.store import Item
from bedside.engines.window.sampling.device.buffers import BufferWriter, Pyramid
from bedside.engines.window.sampling.device.choice import (
    Children,
    Family,
    LevelTable,
    Pool,
    make_pool,
    slice_regions,
    usable_axes,
)
from bedside.engines.window.sampling.device.records import Arrays
from bedside.engines.window.sampling.sampler import MINIMUM_CELLS
from bedside.train.hashing import Draws
from bedside.train.sampling import MAXIMUM_TRIES, SamplingConfig

BOX, WIDE, CLOSE = 0, 1, 2
"""How a sample begins: with a box around the object, with a mark in a window of unknown scale, or with a coarse mask
in a window on the object's border or inside it."""
SPARE = 1.5
"""Times as many cells as an object needs are asked for, because resampling may lose some."""
KNOTS = 5
"""Places along each side at which a smooth displacement is drawn."""

KINDS = ("image", "superpixel")
"""Variants of items, see ``store.ItemInfo``."""
OTHERS = np.array([[1, 2], [0, 2], [0, 1]])
"""The axes of a plane by the axis that it is cut across."""
FIRST_SALT, WARP_SALT = 100, 1
"""Of the streams of random numbers: that of the first try, and that of the warp."""


@dataclass(frozen=True)
class Views:
    """The planes that the objects of a pool are seen on.

    Attributes:
        views: Views of each object, none where no plane of it is of use.
        slices: Slices of each view.
        pyramid: int64 (views,).
        axis: int64 (views,), the axis that is cut across.
        region: int64 (slices, 6), see ``choice.slice_regions``; in the item's coordinates.
    """

    views: Children
    slices: Children
    pyramid: NDArray[np.int64]
    axis: NDArray[np.int64]
    region: NDArray[np.int64]


class PlaneWindows:
    """Draws windows.

    Args:
        items: Items of the store.
        writer: Where their images and maps are collected.
        config: How samples are drawn.

    Raises:
        InputError: There is no object to train on.
    """

    def __init__(self, items: Sequence[Item], writer: BufferWriter, config: SamplingConfig) -> None:
        self._items, self.config = items, config
        kinds = [[n for n, i in enumerate(items) if len(i.objects) and i.info.variant == kind] for kind in KINDS]
        if not kinds[0]:
            raise InputError("training store", expected="at least one object", got="none")
        pyramids: list[Pyramid] = []
        kept: list[tuple[int, ...]] = []
        planes: dict[int, list[tuple[int, int]]] = {}
        for number in sorted(n for numbers in kinds for n in numbers):
            item = items[number]
            axes = usable_axes(item.maps.shape[1:], item.info.spacing or (1.0,) * 3) if item.axes == 3 else [0]
            unhalved = [(a,) if item.axes == 3 else () for a in axes]
            planes[number] = [(axis, len(pyramids) + n) for n, axis in enumerate(axes)]
            pyramids += writer.add(item, unhalved)
            kept += unhalved
        self._levels = LevelTable.of(pyramids, kept)
        self._pool = make_pool(items, kinds)
        self._views = _make_views(self._pool, items, planes)
        self._spacing = np.array([_spacing(item) for item in items])
        self._colour = np.array([item.image.ndim > item.axes for item in items])

    def on_grid(self, grid: int) -> Self:
        """Return the same windows for another grid."""
        other = copy.copy(self)
        other.config = replace(self.config, grid=grid)
        return other

    def draw(self, seed: int, numbers: NDArray[np.int64]) -> Arrays:
        """Return the windows of samples with ``numbers``.

        Returns:
            image, first, second, channel: int64 (n,), where the level's image and object map begin, and the cells from
                one channel to the next (0 for grey).
            size, stride, second_stride: int64 (n, 2), pixels of the level along each axis, and cells from one to the
                next.
            extent: float32 (n, 2), the image's sides in pixels of the level.
            target: int64 (n,), the object's value.
            centre, matrix: float32 (n, 2) and (n, 2, 2): a place p in parts of the window's side, -0.5 to 0.5, lies at
                centre + matrix @ p in pixel edge coordinates of the level, (y, x).
            displaced: int64, the samples with a displacement; displacement: float32 (displaced, 2, 5, 5), of places.
            colour: bool (n,).
            mode: int64 (n,), ``BOX``, ``WIDE`` or ``CLOSE``.
            inserted: int64, the samples whose object is a shape put into the window.

        Raises:
            InputError: No object is large enough.
        """
        found: Arrays = {}
        pending = np.arange(len(numbers))
        for attempt in range(MAXIMUM_TRIES):
            drawn, sound = self._try(Draws(seed, numbers[pending], FIRST_SALT + attempt))
            for name, values in drawn.items():
                place = found.setdefault(name, np.zeros((len(numbers), *values.shape[1:]), dtype=values.dtype))
                place[pending] = values
            pending = pending[~sound]
            if not len(pending):
                return self._finish(found, Draws(seed, numbers, WARP_SALT))
        raise InputError("training store", expected="objects large enough to sample", got=f"{MAXIMUM_TRIES} misses")

    def _try(self, draws: Draws) -> tuple[Arrays, NDArray[np.bool_]]:
        """Return slice, object, and the window's mode, centre and sides in pixels; and whether they are of use."""
        config = self.config
        kind = draws.uniform()
        mode = np.where(
            kind < config.wide_share, WIDE, np.where(kind < config.wide_share + config.close_share, CLOSE, BOX)
        )
        source = draws.uniform()
        superpixel = (source < config.superpixel_share) & bool(self._pool.sets.count[1])
        apart = source - config.superpixel_share
        inserted = (apart >= 0) & (apart < config.inserted_share)
        picked = self._pool.pick(superpixel.astype(np.int64), draws)
        seen = self._views.views.count[picked] > 0
        view = np.minimum(self._views.views.pick(picked, draws), len(self._views.axis) - 1)
        region = self._views.region[self._views.slices.pick(view, draws)]
        item, axis = self._pool.item[picked], self._views.axis[view]
        others = OTHERS[axis]
        spacing = np.take_along_axis(self._spacing[item], others, axis=1)
        full = self._levels.first[self._views.pyramid[view]]
        shape = np.take_along_axis(self._levels.shape[full], others, axis=1)
        start, stop = region[:, 2:4], region[:, 4:6]
        extent = np.maximum(((stop - start) * spacing).max(axis=1), 8.0 * spacing.min(axis=1))
        zoom = draw_zoom(mode, config, draws)
        side = np.minimum(extent * zoom, 2.0 * (shape * spacing).max(axis=1))
        middle = (start + stop) / 2
        choice = draws.uniform()
        for row in np.flatnonzero((mode == CLOSE) & seen):
            middle[row] = self._pixel(picked[row], axis[row], region[row], choice[row])
        slack = 0.5 * np.maximum(side - extent, 0.2 * extent)
        centre = middle + draws.uniforms(2, -config.jitter, config.jitter) * slack[:, None] / spacing
        sides = side[:, None] / spacing
        cells = region[:, 1] / (sides.prod(axis=1) / config.grid**2)
        chosen = {"object": picked, "view": view, "slice": region[:, 0], "mode": mode, "centre": centre, "sides": sides}
        # A shape takes the object's place, however small that is.
        return chosen | {"inserted": inserted}, seen & (inserted | (cells >= SPARE * MINIMUM_CELLS))

    def _pixel(self, picked: int, axis: int, region: NDArray[np.int64], choice: float) -> NDArray[np.float64]:
        """Return the middle of a random pixel of an object on a slice."""
        item, row = self._items[self._pool.item[picked]], self._pool.table[picked]
        values = item.maps[row[0]]
        plane = np.take(values, int(region[0]), axis=axis) if item.axes == 3 else values
        pixels = np.flatnonzero(plane[region[2] : region[4], region[3] : region[5]] == row[1])
        y, x = divmod(int(pixels[int(choice * len(pixels))]), int(region[5] - region[3]))
        middle: NDArray[np.float64] = region[2:4] + np.array([y, x]) + 0.5
        return middle

    def _finish(self, found: Arrays, draws: Draws) -> Arrays:
        """Warp the windows, choose their levels and say where those lie."""
        config = self.config
        picked, view, centre, sides = (found[name] for name in ("object", "view", "centre", "sides"))
        item, axis, row = self._pool.item[picked], self._views.axis[view], self._pool.table[picked]
        turn, stretch, displaced, displacement = draw_plane_warp(draws, augment=config.augment)
        level = self._levels.pick(self._views.pyramid[view], np.sqrt(sides.prod(axis=1)) / config.grid)
        shape, others = self._levels.shape[level], OTHERS[axis]
        factor = np.take_along_axis(self._levels.factor[level], others, axis=1)
        strides = np.stack([shape[:, 1] * shape[:, 2], shape[:, 2], np.ones(len(shape), dtype=np.int64)], axis=1)
        cells = shape.prod(axis=1)
        offset = found["slice"] * np.take_along_axis(strides, axis[:, None], axis=1)[:, 0]
        start = self._levels.start[level]
        maps = offset + row[:, 0] * cells
        whole = np.take_along_axis(self._levels.shape[self._levels.first[self._views.pyramid[view]]], others, axis=1)
        return {
            "image": start[:, 0] + offset,
            "first": start[:, 1] + maps,
            # At full size there is no second value: the buffer's first cell is empty.
            "second": np.where(start[:, 2] > 0, start[:, 2] + maps, 0),
            "second_stride": np.where((start[:, 2] > 0)[:, None], np.take_along_axis(strides, others, axis=1), 0),
            "channel": np.where(self._colour[item], cells, 0),
            "size": np.take_along_axis(shape, others, axis=1),
            "stride": np.take_along_axis(strides, others, axis=1),
            "extent": (whole / factor).astype(np.float32),
            "target": row[:, 1],
            "centre": (centre / factor).astype(np.float32),
            "matrix": ((sides * stretch / factor)[:, :, None] * turn).astype(np.float32),
            "displaced": displaced,
            "displacement": displacement,
            "colour": self._colour[item],
            "mode": found["mode"],
            "inserted": np.flatnonzero(found["inserted"]),
        }


def draw_zoom(mode: NDArray[np.int64], config: SamplingConfig, draws: Draws) -> NDArray[np.float64]:
    """Return (samples,) sides of windows in parts of the object's, by mode."""
    unit = draws.uniform()
    zoom = config.close_zoom[0] + unit * (config.close_zoom[1] - config.close_zoom[0])
    for kind, (low, high) in ((BOX, config.box_zoom), (WIDE, config.wide_zoom)):
        zoom = np.where(mode == kind, low * (high / low) ** unit, zoom)
    return zoom


def draw_plane_warp(
    draws: Draws, *, augment: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the numbers of ``augmentation.draw_warp`` for many samples.

    Returns:
        Rotation and flips (samples, 2, 2); factors of the sides (samples, 2); the samples with a displacement, and
        those displacements (displaced, 2, 5, 5) in parts of the window's side.
    """
    kind = draws.uniform()
    angle = np.where(kind < 0.25, draws.uniform(-np.pi, np.pi), draws.uniform(-0.3, 0.3))
    angle = np.where(kind < 0.55, angle, draws.below(4) * np.pi / 2)
    stretch = np.exp(draws.uniform(-0.2, 0.2))
    flip = 1.0 - 2.0 * np.stack([draws.chance(0.3), draws.chance(0.5)], axis=1)
    displaced = np.flatnonzero(draws.chance(0.15))
    strength = draws.uniform(0.0, 0.03)
    if not augment:
        angle, stretch, flip = np.zeros_like(angle), np.ones_like(stretch), np.ones_like(flip)
        displaced = displaced[:0]
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
    normals = draws.rows(displaced).normals(2 * KNOTS**2) * strength[displaced, None]
    displacement = normals.reshape(-1, 2, KNOTS, KNOTS).astype(np.float32)
    return turn * flip[:, None, :], np.stack([stretch, 1 / stretch], axis=1), displaced, displacement


def _make_views(pool: Pool, items: Sequence[Item], planes: dict[int, list[tuple[int, int]]]) -> Views:
    views, slices = Family(), Family()
    pyramid: list[int] = []
    axes: list[int] = []
    regions: list[NDArray[np.int64]] = []
    for number, row in zip(pool.item.tolist(), pool.table, strict=True):
        item = items[number]
        views.add(len(planes[number]))
        start, stop = row[3:6], row[6:9]
        crop = None
        for axis, place in planes[number]:
            if item.axes == 2:
                region = np.array([[0, row[2], *start[1:], *stop[1:]]])
            else:
                block = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
                crop = item.maps[row[0]][block] == row[1] if crop is None else crop
                region = slice_regions(crop, axis)
                others = OTHERS[axis]
                region += np.array([start[axis], 0, *start[others], *start[others]])
            slices.add(len(region))
            pyramid.append(place)
            axes.append(axis)
            regions.append(region)
    return Views(
        views.freeze(),
        slices.freeze(),
        np.array(pyramid, dtype=np.int64),
        np.array(axes, dtype=np.int64),
        np.concatenate(regions),
    )


def _spacing(item: Item) -> tuple[float, ...]:
    """Along three axes."""
    spacing = item.info.spacing or (1.0,) * item.axes
    return (1.0,) * (3 - len(spacing)) + tuple(spacing)
