"""Drawing of windows of volumes, many at once.

The distributions are those of ``window.sampling.volume_sampler``; what is drawn is a few numbers a sample, see
``VolumeWindows.draw``, and the windows that no volume holds, see ``volume_given``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.data.store import Item
from bedside.engines.window.sampling.device.buffers import BufferWriter
from bedside.engines.window.sampling.device.choice import LevelTable, make_pool
from bedside.engines.window.sampling.device.plane_windows import (
    BOX,
    CLOSE,
    FIRST_SALT,
    SPARE,
    WARP_SALT,
    WIDE,
    draw_zoom,
)
from bedside.engines.window.sampling.device.records import Arrays
from bedside.engines.window.sampling.device.volume_given import EXTRUDED, INSERTED, LABELLED, SYNTHETIC, GivenWindows
from bedside.engines.window.sampling.volume_augmentation import AXES, FLAT_CHANCE, ORDERS
from bedside.engines.window.sampling.volume_sampler import MINIMUM_CELLS
from bedside.train.hashing import Draws
from bedside.train.sampling import MAXIMUM_TRIES, SamplingConfig

KINDS = ("image", "supervoxel")
"""Variants of items, see ``store.ItemInfo``."""
KNOTS = 4
"""Places along each side at which a smooth displacement is drawn."""


class VolumeWindows:
    """Draws windows.

    Args:
        items: Items of the store.
        writer: Where the images and maps of volumes are collected.
        config: How samples are drawn.

    Raises:
        InputError: There is no volume to train on.
    """

    def __init__(self, items: Sequence[Item], writer: BufferWriter, config: SamplingConfig) -> None:
        self._items, self.config = items, config
        volumes = [n for n, item in enumerate(items) if item.axes == AXES and len(item.objects)]
        kinds = [[n for n in volumes if items[n].info.variant == kind] for kind in KINDS]
        if not kinds[0]:
            raise InputError("training store", expected="at least one volume with an object", got="none")
        used = sorted(n for numbers in kinds for n in numbers)
        self._pyramid = np.zeros(len(items), dtype=np.int64)
        self._pyramid[used] = np.arange(len(used))
        self._levels = LevelTable.of([writer.add(items[n], [()])[0] for n in used], [()] * len(used))
        self._pool = make_pool(items, kinds)
        self._spacing = np.ones((len(items), AXES))
        for number in used:
            self._spacing[number] = items[number].info.spacing or (1.0,) * AXES
        self._given = GivenWindows(items)

    def on_grid(self, grid: int) -> Self:
        """Return the same windows for another grid."""
        other = copy.copy(self)
        other.config = replace(self.config, grid=grid)
        return other

    def draw(self, seed: int, numbers: NDArray[np.int64]) -> Arrays:
        """Return the windows of samples with ``numbers``.

        Returns:
            image, first, second, channel: int64 (n,), where the level's image and object map begin; the last is 0.
            size, stride, second_stride: int64 (n, 3), voxels of the level along each axis, and cells from one to the
                next.
            extent: float32 (n, 3), the volume's sides in voxels of the level.
            target: int64 (n,), the object's value.
            centre, matrix: float32 (n, 3) and (n, 3, 3): a place p in parts of the window's side, -0.5 to 0.5, lies at
                centre + matrix @ p in voxel edge coordinates of the level, (z, y, x).
            displaced: int64, the samples with a displacement; displacement: float32 (displaced, 3, 4, 4, 4), of places.
            mode: int64 (n,), ``BOX``, ``WIDE`` or ``CLOSE``.
            inserted: int64, the samples whose object is a shape put into the window.
            given: int64, the samples whose window no volume holds; given_image, given_cells: uint8 (given, grid, grid,
                grid), see ``volume_given``. Their other rows are of a window that is not used.

        Raises:
            InputError: No object is large enough.
        """
        found: Arrays = {}
        given: dict[int, NDArray[np.uint8]] = {}
        pending = np.arange(len(numbers))
        for attempt in range(MAXIMUM_TRIES):
            drawn, sound, made = self._try(Draws(seed, numbers[pending], FIRST_SALT + attempt))
            for name, values in drawn.items():
                place = found.setdefault(name, np.zeros((len(numbers), *values.shape[1:]), dtype=values.dtype))
                place[pending] = values
            given |= {int(pending[row]): window for row, window in made.items()}
            pending = pending[~sound]
            if not len(pending):
                return self._finish(found, Draws(seed, numbers, WARP_SALT)) | self._pack(given)
        raise InputError("training store", expected="objects large enough to sample", got=f"{MAXIMUM_TRIES} misses")

    def _try(self, draws: Draws) -> tuple[Arrays, NDArray[np.bool_], dict[int, NDArray[np.uint8]]]:
        """Return object, and the window's mode, centre and sides in voxels; whether they are of use; and given
        windows.
        """
        config = self.config
        kind = draws.uniform()
        mode = np.where(
            kind < config.wide_share, WIDE, np.where(kind < config.wide_share + config.close_share, CLOSE, BOX)
        )
        source, supervoxel = self._draw_source(draws)
        given = (source == SYNTHETIC) | (source == EXTRUDED)
        # A shape is drawn into a window as around a box, however its sample starts.
        window_mode = np.where(source == INSERTED, BOX, mode)
        picked = self._pool.pick(supervoxel.astype(np.int64), draws)
        item, row = self._pool.item[picked], self._pool.table[picked]
        spacing = self._spacing[item]
        shape = self._levels.shape[self._levels.first[self._pyramid[item]]]
        start, stop = row[:, 3:6], row[:, 6:9]
        extent = np.maximum(((stop - start) * spacing).max(axis=1), 6.0 * spacing.min(axis=1))
        side = np.minimum(extent * draw_zoom(window_mode, config, draws), 2.0 * (shape * spacing).max(axis=1))
        middle = (start + stop) / 2
        choice, seeds = draws.uniform(), draws.bits()[:, 0]
        for n in np.flatnonzero((window_mode == CLOSE) & ~given):
            middle[n] = self._voxel(picked[n], choice[n])
        slack = 0.5 * np.maximum(side - extent, 0.2 * extent)
        centre = middle + draws.uniforms(AXES, -config.jitter, config.jitter) * slack[:, None] / spacing
        sides = side[:, None] / spacing
        cells = row[:, 2] / (sides.prod(axis=1) / config.grid**AXES)
        # A shape takes the object's place, however small that is.
        sound = (source == INSERTED) | (cells >= SPARE * MINIMUM_CELLS)
        made: dict[int, NDArray[np.uint8]] = {}
        for n in np.flatnonzero(given):
            window = self._given.draw(int(source[n]), int(mode[n]), config, np.random.default_rng(int(seeds[n])))
            sound[n] = window is not None
            if window is not None:
                made[int(n)] = window
        chosen = {"object": picked, "mode": mode, "centre": centre, "sides": sides, "source": source}
        return chosen, sound, made

    def _draw_source(self, draws: Draws) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return where windows come from, see ``volume_given``, and whether objects of volumes are supervoxels."""
        config = self.config
        left = draws.uniform() - config.synthetic_share
        source = np.where(left < 0, SYNTHETIC, LABELLED)
        source[(left >= 0) & (left < config.inserted_share)] = INSERTED
        left -= config.inserted_share
        source[(left >= 0) & (left < config.extruded_share) & self._given.has_planes] = EXTRUDED
        supervoxel = (left - config.extruded_share < config.superpixel_share) & (source == LABELLED)
        return source, supervoxel & bool(self._pool.sets.count[1])

    def _voxel(self, picked: int, choice: float) -> NDArray[np.float64]:
        """Return the middle of a random voxel of an object."""
        row = self._pool.table[picked]
        start, stop = row[3:6], row[6:9]
        block = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        region = self._items[self._pool.item[picked]].maps[row[0]][block] == row[1]
        voxels = np.flatnonzero(region)
        place = np.unravel_index(int(voxels[int(choice * len(voxels))]), region.shape)
        middle: NDArray[np.float64] = start + np.array(place) + 0.5
        return middle

    def _finish(self, found: Arrays, draws: Draws) -> Arrays:
        """Warp the windows, choose their levels and say where those lie."""
        picked, centre, sides = (found[name] for name in ("object", "centre", "sides"))
        item, row = self._pool.item[picked], self._pool.table[picked]
        warp, displaced, displacement = draw_volume_warps(draws, self.config.anisotropy, augment=self.config.augment)
        matrix = sides[:, :, None] * warp
        levels, pyramid = self._levels, self._pyramid[item]
        level = levels.pick_by_axis(pyramid, np.sqrt((matrix**2).sum(axis=2)) / self.config.grid)
        shape, factor, start = levels.shape[level], levels.factor[level], levels.start[level]
        stride = np.stack([shape[:, 1] * shape[:, 2], shape[:, 2], np.ones_like(shape[:, 2])], axis=1)
        maps = row[:, 0] * shape.prod(axis=1)
        halved = start[:, 2] > 0
        return {
            "image": start[:, 0],
            "first": start[:, 1] + maps,
            # At full size there is no second value: the buffer's first cell is empty.
            "second": np.where(halved, start[:, 2] + maps, 0),
            "second_stride": np.where(halved[:, None], stride, 0),
            "channel": np.zeros_like(picked),
            "size": shape,
            "stride": stride,
            "extent": (levels.shape[levels.first[pyramid]] / factor).astype(np.float32),
            "target": row[:, 1],
            "centre": (centre / factor).astype(np.float32),
            "matrix": (matrix / factor[:, :, None]).astype(np.float32),
            "displaced": displaced,
            "displacement": displacement,
            "mode": found["mode"],
            "inserted": np.flatnonzero(found["source"] == INSERTED),
        }

    def _pack(self, given: dict[int, NDArray[np.uint8]]) -> Arrays:
        """Return windows that no volume holds, by their rows in rising order."""
        rows = sorted(given)
        grid = (self.config.grid,) * AXES
        windows = np.stack([given[row] for row in rows]) if rows else np.zeros((0, 2, *grid), dtype=np.uint8)
        return {
            "given": np.array(rows, dtype=np.int64),
            "given_image": windows[:, 0],
            "given_cells": windows[:, 1],
        }


def draw_volume_warps(
    draws: Draws, anisotropy: float = 1.0, *, augment: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the numbers of ``volume_augmentation.draw_volume_warp`` for many samples.

    Returns:
        Order and direction of the axes, rotation and unequal scaling in one matrix (samples, 3, 3); the samples with a
        displacement, and those displacements (displaced, 3, 4, 4, 4) in parts of the window's side.
    """
    order, sign = draws.below(len(ORDERS)), 1.0 - 2.0 * (draws.uniforms(AXES) < 0.5)
    turn = np.eye(AXES)[np.array(ORDERS)[order]] * sign[:, None, :]
    kind = draws.uniform()
    turned = rotations(draws, np.where(kind < 0.12, np.pi, 0.35)) @ turn
    turn = np.where((kind < 0.5)[:, None, None], turned, turn)
    stretch = draws.uniforms(AXES, -0.2, 0.2)
    # Slices of unknown spacing make bodies flat or long.
    flat, axis, change = draws.chance(FLAT_CHANCE * anisotropy), draws.below(AXES), draws.uniform(-0.6, 0.6)
    stretch[flat, axis[flat]] += change[flat]
    warp = turn * np.exp(stretch - stretch.mean(axis=1, keepdims=True))[:, None, :]
    displaced = np.flatnonzero(draws.chance(0.15))
    strength = draws.uniform(0.0, 0.03)
    if not augment:
        warp = np.broadcast_to(np.eye(AXES), warp.shape)
        displaced = displaced[:0]
    normals = draws.rows(displaced).normals(AXES * KNOTS**AXES) * strength[displaced, None]
    return warp, displaced, normals.reshape(-1, AXES, KNOTS, KNOTS, KNOTS).astype(np.float32)


def rotations(draws: Draws, largest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rotations (samples, 3, 3) about random axes by at most ``largest`` (samples,) radians (Rodrigues'
    formula).
    """
    axis = draws.normals(AXES)
    z, y, x = (axis / np.linalg.norm(axis, axis=1, keepdims=True)).T
    zero = np.zeros_like(z)
    cross = np.stack([zero, -x, y, x, zero, -z, -y, z, zero], axis=1).reshape(-1, AXES, AXES)
    angle = (draws.uniform(-1.0, 1.0) * largest)[:, None, None]
    turned: NDArray[np.float64] = np.eye(AXES) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned
