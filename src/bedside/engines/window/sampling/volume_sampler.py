"""Training samples of volumes: real objects, supervoxels, continued images and synthetic shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bedside.core.errors import InputError
from bedside.data.store import Item, Store, Visible
from bedside.engines.window.encodings import PromptEncoding
from bedside.engines.window.sampling.extrusion import draw_profile, extrude
from bedside.engines.window.sampling.insertion import insert_shape
from bedside.engines.window.sampling.packed_table import Arrays, Table
from bedside.engines.window.sampling.sampler import Drawn, Sampler
from bedside.engines.window.sampling.synthetic import synthetic_window
from bedside.engines.window.sampling.volume_appearance import change_volumes, draw_volume_appearance
from bedside.engines.window.sampling.volume_starts import draw_start
from bedside.engines.window.sampling.volume_windows import (
    VolumeWarp,
    bounding_slices,
    draw_volume_warp,
    grid_positions,
    inside_volume,
    plain_warp,
    sample_volume,
)
from bedside.train.hashing import Draws
from bedside.train.sampling import SamplingConfig

MINIMUM_CELLS = 20
"""Cells of the grid an object must cover to be worth a sample."""

Seen = tuple[Tensor, NDArray[np.uint8], NDArray[np.bool_]]
"""Image, truth and inside, each (grid, grid, grid)."""
ItemsBySet = dict[str, list[Item]]
"""Items by the name of their set."""


class VolumeSampler(Sampler):
    """Draws samples of volumes from a store, each dataset as often as any other.

    Args:
        store: With at least one volume that has an object.
        config: How samples are drawn.
        seed: Seed of everything random.
        encoding: How prompts become channels; None for the painted ones.

    Raises:
        InputError: The store has no volume to train on.
    """

    def __init__(self, store: Store, config: SamplingConfig, seed: int, encoding: PromptEncoding | None = None) -> None:
        super().__init__(config, seed, encoding)
        self._visible = Visible(store, _pools_of)

    def _try(self, number: int, generator: np.random.Generator) -> Drawn | None:
        config = self._config
        kind = generator.random()
        mode = (
            "wide" if kind < config.wide_share else "close" if kind < config.wide_share + config.close_share else "box"
        )
        seen = self._draw(mode, self._visible.at(number), generator)
        if seen is None or int(seen[1].sum()) < MINIMUM_CELLS:
            return None
        image, truth, inside = seen
        previous, painted = draw_start(truth, mode, generator, self._encoding)
        return Drawn(image[None].numpy(), np.bool_(False), previous, painted, truth, inside)

    def _draw_appearance(self, colour: NDArray[np.bool_], draws: Draws) -> Arrays:
        del colour
        return draw_volume_appearance(draws, self._config.anisotropy)

    def _change(self, image: Tensor, table: Table) -> Tensor:
        return change_volumes(image, table)

    def _draw(self, mode: str, pools: Mapping[str, ItemsBySet], generator: np.random.Generator) -> Seen | None:
        config = self._config
        source = generator.random()
        if source < config.synthetic_share:
            made = synthetic_window((1, *(config.grid,) * 3), generator)
            return None if made is None else (made[0][0], made[1], np.ones((config.grid,) * 3, dtype=np.bool_))
        source -= config.synthetic_share
        if source < config.inserted_share:
            return self._insert(mode, pools, generator)
        source -= config.inserted_share
        if source < config.extruded_share and pools["plane"]:
            return draw_extruded(pick_item(pools["plane"], generator), mode, config, generator)
        supervoxel = source - config.extruded_share < config.superpixel_share and bool(pools["supervoxel"])
        return draw_volume(
            pick_item(pools["supervoxel" if supervoxel else "image"], generator), mode, config, generator
        )

    def _insert(self, mode: str, pools: Mapping[str, ItemsBySet], generator: np.random.Generator) -> Seen:
        """Return a shape in a window of a volume."""
        image, _, inside = draw_volume(pick_item(pools["image"], generator), "box", self._config, generator)
        image, truth = insert_shape(image[None], mode, generator)
        return image[0], truth * inside, inside


def _pools_of(items: Sequence[Item]) -> dict[str, ItemsBySet]:
    """Return the volumes that have an object, by variant, and the planes that can be continued.

    Raises:
        InputError: There is no labelled volume.
    """
    pools: dict[str, ItemsBySet] = {"image": {}, "supervoxel": {}, "plane": plane_pool(items)}
    for item in items:
        if len(item.objects) and item.axes == 3:
            pools[item.info.variant].setdefault(item.info.set_name, []).append(item)
    if not pools["image"]:
        raise InputError("training store", expected="at least one volume with an object", got="none")
    return pools


def draw_volume(item: Item, mode: str, config: SamplingConfig, generator: np.random.Generator) -> Seen:
    """Return a window around an object of a volume."""
    number, value, start, stop = _draw_object(item, generator)
    spacing = np.array(item.info.spacing or (1.0,) * 3)
    extent = max(float(((stop - start) * spacing).max()), 6.0 * float(spacing.min()))
    side = min(extent * _draw_zoom(mode, config, generator), 2.0 * float((np.array(item.image.shape) * spacing).max()))
    middle = (start + stop) / 2
    if mode == "close":
        region = item.maps[number][tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        voxels = np.argwhere(region == value)
        middle = start + voxels[generator.integers(len(voxels))] + 0.5
    slack = 0.5 * max(side - extent, 0.2 * extent)
    middle = middle + generator.uniform(-config.jitter, config.jitter, size=3) * slack / spacing
    centre = (float(middle[0]), float(middle[1]), float(middle[2]))
    sides = tuple(float(s) for s in side / spacing)
    warp = _draw_warp(centre, sides, config, generator)
    return window_of(item, number, value, warp, config.grid)


def window_of(item: Item, number: int, value: int, warp: VolumeWarp, grid: int) -> Seen:
    """Return image, truth and inside of one window of a volume."""
    positions = grid_positions(warp, grid)
    cells = warp.cells(grid)
    block = bounding_slices(positions, item.image.shape, max(cells) + 2)
    start = tuple(s.start for s in block)
    image = sample_volume(item.image[block], start, positions, cells)
    truth = sample_volume(item.maps[number][block] == value, start, positions, cells, zeros=True)
    return image, (truth > 0.5).numpy().astype(np.uint8), inside_volume(positions, item.image.shape)


def draw_extruded(item: Item, mode: str, config: SamplingConfig, generator: np.random.Generator) -> Seen:
    """Return a window around an object of an image that is continued along a third axis."""
    number, value, start, stop = _draw_object(item, generator)
    plane = item.image if item.image.ndim == 2 else item.image @ generator.dirichlet((1.0, 1.0, 1.0))
    spacing = np.array(item.info.spacing or (1.0, 1.0))
    longest = max(float(((stop - start) * spacing).max()), 8.0 * float(spacing.min()))
    extent = longest / spacing
    zoom = _draw_zoom(mode, config, generator)
    shift = 0.5 * generator.uniform(-config.jitter, config.jitter, size=3) * max(zoom - 1.0, 0.2)
    centre = (float(shift[0]), float(shift[1]), float(shift[2]))
    sides = (zoom,) * 3
    warp = _draw_warp(centre, sides, config, generator)
    middle = (start + stop) / 2
    image, truth, inside = extrude(
        plane.astype(np.float32),
        item.maps[number] == value,
        (float(middle[0]), float(middle[1])),
        (float(extent[0]), float(extent[1])),
        grid_positions(warp, config.grid),
        draw_profile(generator),
    )
    return image, (truth > 0.5).numpy().astype(np.uint8), inside


def plane_pool(items: Sequence[Item]) -> ItemsBySet:
    """Return the items that can be continued along a third axis."""
    pool: ItemsBySet = {}
    for item in items:
        if len(item.objects) and item.axes == 2:
            pool.setdefault(item.info.set_name, []).append(item)
    return pool


def pick_item(pool: ItemsBySet, generator: np.random.Generator) -> Item:
    """Return a random item, each set as likely as any other."""
    items = pool[sorted(pool)[generator.integers(len(pool))]]
    return items[generator.integers(len(items))]


def _draw_object(item: Item, generator: np.random.Generator) -> tuple[int, int, NDArray[np.int64], NDArray[np.int64]]:
    """Map, value, start and stop of a random object, each map as likely as any other."""
    present = np.unique(item.objects[:, 0])
    rows = item.objects[item.objects[:, 0] == present[generator.integers(len(present))]]
    row = rows[generator.integers(len(rows))].astype(np.int64)
    return int(row[0]), int(row[1]), row[3 : 3 + item.axes], row[3 + item.axes :]


def _draw_warp(
    centre: tuple[float, float, float], sides: tuple[float, ...], config: SamplingConfig, generator: np.random.Generator
) -> VolumeWarp:
    if config.augment:
        return draw_volume_warp(centre, sides, generator, config.anisotropy)
    return plain_warp(centre, sides)


def _draw_zoom(mode: str, config: SamplingConfig, generator: np.random.Generator) -> float:
    if mode == "close":
        return float(generator.uniform(*config.close_zoom))
    low, high = config.box_zoom if mode == "box" else config.wide_zoom
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))
