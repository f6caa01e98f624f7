"""Training samples of images and of slices of volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bedside.core.errors import InputError
from bedside.core.prompts import Box
from bedside.core.region import mask_region
from bedside.data.store import MAP_KINDS, Item, Store, Visible
from bedside.engines.window.encodings import PromptEncoding
from bedside.engines.window.sampling.gatherings import UNION_CHANCE, gather_parts
from bedside.engines.window.sampling.insertion import insert_shape
from bedside.engines.window.sampling.packed_table import Arrays, Table
from bedside.engines.window.sampling.plane_appearance import change_planes, draw_plane_appearance
from bedside.engines.window.sampling.plane_starts import draw_start, warped_box
from bedside.engines.window.sampling.plane_windows import (
    Warp,
    draw_warp,
    grid_positions,
    inside_plane,
    sample_plane,
)
from bedside.engines.window.sampling.sampler import Drawn, Sampler
from bedside.engines.window.sampling.synthetic import synthetic_window
from bedside.simulate.scribbles import lasso_region
from bedside.train.hashing import Draws
from bedside.train.sampling import SamplingConfig

MINIMUM_CELLS = 12
"""Cells of the grid an object must cover to be worth a sample."""
TILED_PIXELS = 400
"""Pixels that an object must have for tiles of its box to show anything but blur."""
FEW_CASES = 4
"""Sets of fewer cases are drawn less often, by the root of their number."""
COLOURS = 3
"""Channels of a sample's image."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a window shows, on the grid.

    Attributes:
        mode: How the sample starts.
        image: (1 or 3, grid, grid).
        truth: 0/1 (grid, grid).
        inside: (grid, grid).
        box: Around the whole object where the window shows only some of it; None where it is that of the truth.
        others: Other objects, 0/1 (grid, grid), where any are known.
    """

    mode: str
    image: Tensor
    truth: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    box: Box | None = None
    others: NDArray[np.uint8] | None = None


class PlaneSampler(Sampler):
    """Draws samples of images and slices from a store, each dataset as often as any other but those of a few cases."""

    def __init__(self, store: Store, config: SamplingConfig, seed: int, encoding: PromptEncoding | None = None) -> None:
        super().__init__(config, seed, encoding)
        self._visible = Visible(store, _pools_of)

    def _try(self, number: int, generator: np.random.Generator) -> Drawn | None:
        seen = self._draw(self._visible.at(number), generator)
        if seen is None or int(seen.truth.sum()) < MINIMUM_CELLS:
            return None
        truth, mode = seen.truth, seen.mode
        previous, prompts = draw_start(truth, mode, generator, box=seen.box, others=seen.others)
        area = None
        if mode == "box" and generator.random() < 0.1:
            # A lasso takes the place of the box: an area and not an outline.
            area = lasso_region(truth, generator, generator.uniform(0.03, 0.2)).astype(np.float32)
            prompts = [prompt for prompt in prompts if not isinstance(prompt, Box)]
        painted = self._encoding.paint(prompts, truth.shape, area)
        image = seen.image.expand(COLOURS, -1, -1).numpy()
        return Drawn(image, np.bool_(seen.image.shape[0] == COLOURS), previous, painted, truth, seen.inside)

    def _draw_appearance(self, colour: NDArray[np.bool_], draws: Draws) -> Arrays:
        return draw_plane_appearance(colour, draws)

    def _change(self, image: Tensor, table: Table) -> Tensor:
        return change_planes(image, table)

    def _draw(self, pools: Mapping[str, Pool], generator: np.random.Generator) -> Seen | None:
        config = self._config
        source = generator.random()
        superpixel = source < config.superpixel_share and bool(pools["superpixel"].items)
        source -= config.superpixel_share
        inserted = 0 <= source < config.inserted_share
        if 0 <= source - config.inserted_share < config.synthetic_share:
            return _draw_synthetic(config, generator)
        drawn = _draw_object(pools["superpixel" if superpixel else "image"].pick(generator), generator)
        if drawn is None:
            return None
        plane, mask, spacing, others = drawn
        region = mask_region(mask)
        if region.is_empty:
            return None
        mode = _draw_mode(config, generator)
        if mode == "tile" and int(mask.sum()) < TILED_PIXELS:
            mode = "box"
        centre, sides = _draw_window(mask, region.start, region.stop, spacing, mode, config, generator)
        warp = draw_warp(centre, sides, generator) if config.augment else draw_plain(centre, sides)
        positions = grid_positions(warp, config.grid)
        cell = float(np.sqrt(sides[0] * sides[1])) / config.grid
        truth_values = sample_plane(mask, positions, cell, zeros=True)[0].numpy()
        truth = (truth_values > 0.5).astype(np.uint8)
        image = sample_plane(plane, positions, cell)
        inside = inside_plane(positions, plane.shape)
        if inserted:
            image, truth = insert_shape(image, {"tile": "close", "mistake": "box"}.get(mode, mode), generator)
            truth *= inside
        box = None
        if mode == "tile":
            # The box of a shape that reaches beyond the window covers all of it.
            everywhere = Box((0.0, 0.0), (float(config.grid),) * 2)
            box = everywhere if inserted else warped_box(mask, warp, config.grid)
        neighbours = None
        if mode == "mistake" and others is not None and not inserted:
            neighbours = (sample_plane(others, positions, cell, zeros=True)[0] > 0.5).numpy()
        return Seen(mode, image, truth, inside, box, neighbours)


@dataclass(frozen=True, eq=False)
class Pool:
    """Items of one variant.

    Attributes:
        items: With an object, by set, in the order of the sets' names.
        chances: Cumulated chances of the sets.
    """

    items: Sequence[Sequence[Item]]
    chances: NDArray[np.float64]

    def pick(self, generator: np.random.Generator) -> Item:
        """Draw a set, then one of its items."""
        items = self.items[int(np.searchsorted(self.chances, generator.random(), side="right"))]
        return items[int(generator.integers(len(items)))]


def _pools_of(items: Sequence[Item]) -> dict[str, Pool]:
    """Return the items that have an object, by variant.

    Raises:
        InputError: There is no image with one.
    """
    found: dict[str, dict[str, list[Item]]] = {"image": {}, "superpixel": {}}
    for item in items:
        if len(item.objects) and item.info.variant in found:
            found[item.info.variant].setdefault(item.info.set_name, []).append(item)
    if not found["image"]:
        raise InputError("training store", expected="at least one object", got="none")
    return {
        variant: Pool([by_set[name] for name in sorted(by_set)], _set_chances(by_set))
        for variant, by_set in found.items()
    }


def _set_chances(pool: dict[str, list[Item]]) -> NDArray[np.float64]:
    """Return cumulated chances of the sets in the order of their names: equal, but less for sets of a few cases."""
    weights = [np.sqrt(min(len(pool[name]), FEW_CASES) / FEW_CASES) for name in sorted(pool)]
    cumulated = np.cumsum(weights) / np.sum(weights) if weights else np.zeros(0)
    # Rounding must not leave a gap below 1.
    cumulated[-1:] = 1.0
    return np.asarray(cumulated, dtype=np.float64)


def _draw_mode(config: SamplingConfig, generator: np.random.Generator) -> str:
    """Return how a sample starts."""
    kind = generator.random()
    for mode in ("wide", "close", "tile", "mistake"):
        if kind < (share := getattr(config, f"{mode}_share")):
            return mode
        kind -= share
    return "box"


def _draw_synthetic(config: SamplingConfig, generator: np.random.Generator) -> Seen | None:
    """Return random shapes, half of them in colour."""
    mode = _draw_mode(config, generator)
    mode = "box" if mode == "tile" else mode
    channels = COLOURS if generator.random() < 0.5 else 1
    made = synthetic_window((channels, config.grid, config.grid), generator)
    return None if made is None else Seen(mode, *made, np.ones((config.grid,) * 2, dtype=np.bool_))


def draw_plain(centre: tuple[float, float], sides: tuple[float, float]) -> Warp:
    """Return the window as it is, without augmentation."""
    return Warp(centre, sides, 0.0, (False, False), None)


def _draw_object(
    item: Item, generator: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.bool_], tuple[float, float], NDArray[np.bool_] | None] | None:
    """Return an image plane (y, x[, 3]), the mask of an object in it, the plane's spacing (y, x), and other objects."""
    present = np.unique(item.objects[:, 0])
    rows = item.objects[item.objects[:, 0] == present[generator.integers(len(present))]]
    row = rows[generator.integers(len(rows))]
    number, value = int(row[0]), int(row[1])
    assert item.info.map_kinds[number] in MAP_KINDS
    if item.axes == 2:
        spacing = item.info.spacing or (1.0, 1.0)
        return item.image, *_draw_parts(item, item.maps, number, value, (spacing[0], spacing[1]), generator)
    spacing3 = item.info.spacing or (1.0, 1.0, 1.0)
    axis = _draw_axis(item.image.shape, spacing3, generator)
    if axis is None:
        return None
    index = int(generator.integers(row[3 + axis], row[3 + 3 + axis]))
    # Views, so that of a slice no more is read than its window shows.
    maps = np.moveaxis(item.maps, axis + 1, 0)[index]
    plane = np.moveaxis(item.image, axis, 0)[index]
    kept = [s for a, s in enumerate(spacing3) if a != axis]
    return plane, *_draw_parts(item, maps, number, value, (kept[0], kept[1]), generator)


def _draw_parts(
    item: Item,
    maps: NDArray[np.uint16],
    number: int,
    value: int,
    spacing: tuple[float, float],
    generator: np.random.Generator,
) -> tuple[NDArray[np.bool_], tuple[float, float], NDArray[np.bool_] | None]:
    """Return the object of a map's value, now and then with others of its kind; the spacing; the objects not in it."""
    kind = item.info.map_kinds[number]
    chance = UNION_CHANCE.get(kind, 0.0)
    values, label = maps[number], None
    if kind == "part":
        places = values == value
        label = maps[0] == maps[0][places][0] if places.any() else None
    mask = gather_parts(values, value, label, chance, generator)
    known = kind != "superpixel"
    return mask, spacing, (maps[0] > 0) & ~mask if known else None


def _draw_axis(shape: tuple[int, ...], spacing: tuple[float, ...], generator: np.random.Generator) -> int | None:
    """Return an axis to cut across whose planes are neither a few pixels wide nor stretched beyond use."""
    candidates = []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        stretch = max(spacing[a] for a in others) / min(spacing[a] for a in others)
        if min(shape[a] for a in others) >= 16 and stretch <= 6:
            candidates.append(axis)
    return int(candidates[generator.integers(len(candidates))]) if candidates else None


def _draw_window(
    mask: NDArray[np.bool_],
    start: tuple[int, ...],
    stop: tuple[int, ...],
    spacing: tuple[float, float],
    mode: str,
    config: SamplingConfig,
    generator: np.random.Generator,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return centre and sides in pixels (y, x) of a window that is square in millimetres."""
    extent = max((b - a) * s for a, b, s in zip(start, stop, spacing, strict=True))
    extent = max(extent, 8.0 * min(spacing))
    if mode in ("close", "tile"):
        zoom = generator.uniform(*(config.close_zoom if mode == "close" else config.tile_zoom))
        # Tiles cover a box whether or not there is much of the object in them.
        anywhere = mode == "tile" and generator.random() < 0.5
        pixels = np.argwhere(mask)
        middle = pixels[generator.integers(len(pixels))] + 0.5
        if anywhere:
            middle = generator.uniform(start, stop)
    else:
        low, high = config.wide_zoom if mode == "wide" else config.box_zoom
        zoom = np.exp(generator.uniform(np.log(low), np.log(high)))
        middle = np.array([(a + b) / 2 for a, b in zip(start, stop, strict=True)])
    # Beyond the image there is nothing to see: the window stays within twice the image's size.
    limit = 2.0 * max(n * s for n, s in zip(mask.shape, spacing, strict=True))
    side = min(extent * zoom, limit)
    slack = 0.5 * max(side - extent, 0.2 * extent)
    shift = generator.uniform(-config.jitter, config.jitter, size=2) * slack
    centre = middle + shift / np.array(spacing)
    return (float(centre[0]), float(centre[1])), (side / spacing[0], side / spacing[1])
