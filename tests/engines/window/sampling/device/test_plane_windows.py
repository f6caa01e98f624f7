from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.data.store import Item, Store
from bedside.engines.window.sampling.augmentation import Warp, grid_positions, inside_plane, sample_plane
from bedside.engines.window.sampling.device.buffers import Buffers, BufferWriter
from bedside.engines.window.sampling.device.plane_windows import (
    BOX,
    CLOSE,
    WARP_SALT,
    WIDE,
    PlaneWindows,
    draw_plane_warp,
)
from bedside.engines.window.sampling.device.records import Arrays
from bedside.engines.window.sampling.device.windows import inside_image, read_image, read_object, window_positions
from bedside.train.hashing import Draws
from bedside.train.sampling import SamplingConfig

CPU = torch.device("cpu")
GRID = 32
CONFIG = SamplingConfig(grid=GRID, superpixel_share=0.3, wide_share=0.3, close_share=0.2)


def prepared(items: list[Item], config: SamplingConfig = CONFIG) -> tuple[PlaneWindows, Buffers]:
    writer = BufferWriter()
    windows = PlaneWindows(items, writer, config)
    return windows, writer.finish(CPU)


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}


def plane_of(windows: PlaneWindows, found: Arrays, row: int) -> tuple[NDArray[Any], NDArray[np.bool_], Item]:
    """Image and object mask that a drawn sample is of."""
    item = windows._items[windows._pool.item[found["object"][row]]]
    number, value = windows._pool.table[found["object"][row]][:2]
    image, mask = item.image, item.maps[number] == value
    if item.axes == 3:
        axis, index = int(windows._views.axis[found["view"][row]]), int(found["slice"][row])
        image, mask = np.take(image, index, axis=axis), np.take(mask, index, axis=axis)
    return image, mask, item


@pytest.mark.parametrize("augment", [False, True])
def test_windows_are_those_of_the_reference(store: Store, augment: bool) -> None:
    windows, buffers = prepared(store.items, replace(CONFIG, augment=augment))
    numbers = np.arange(96)
    found, sound = windows._try(Draws(7, numbers))
    assert sound.mean() > 0.7
    table = tensors(windows._finish(found, Draws(7, numbers, WARP_SALT)))
    turn, stretch, displaced, displacement = draw_plane_warp(Draws(7, numbers, WARP_SALT), augment=augment)
    positions = window_positions(table, GRID)
    image = read_image(buffers, table, positions, 3)
    truth = read_object(buffers, table, positions) > 0.5
    inside = inside_image(positions, table["extent"])
    kinds: Counter[tuple[int, ...]] = Counter()
    compared = 0
    for row in np.flatnonzero(sound):
        plane, mask, item = plane_of(windows, found, row)
        kinds[item.image.shape] += 1
        sides, place = found["sides"][row], np.flatnonzero(displaced == row)
        # The rotation of a flipped window is one of the window before flips.
        flip = (bool(np.linalg.det(turn[row]) < 0), False)
        straight = turn[row] * np.array([-1.0 if flip[0] else 1.0, 1.0])
        angle = float(np.arctan2(straight[1, 0], straight[0, 0]))
        warp = Warp(
            tuple(found["centre"][row]), tuple(sides * stretch[row]), angle, flip,
            displacement[place[0]] if len(place) else None,
        )  # fmt: skip
        expected = grid_positions(warp, GRID)
        cell = float(np.sqrt(sides.prod()) / GRID)
        same = inside_plane(expected, plane.shape) == inside[row].numpy()
        assert same.mean() > 0.995
        got, wanted = image[row], sample_plane(plane, expected, cell)
        reference = sample_plane(mask.astype(np.float32), expected, cell, zeros=True)[0] > 0.5
        # Beyond two pixels a cell the reference averages over other blocks of pixels than halving does.
        fine = cell < 1.4
        assert torch.corrcoef(torch.stack([got[0].flatten(), wanted[0].flatten()]))[0, 1] > (0.9999 if fine else 0.95)
        assert float((reference != truth[row]).float().mean()) < (0.001 if fine else 0.03)
        if not fine:
            continue
        compared += 1
        if len(wanted) == 3:
            slope = (got - got.mean()).norm() / (wanted - wanted.mean()).norm()
            torch.testing.assert_close(
                got - got.mean(), slope * (wanted - wanted.mean()), rtol=0, atol=float(3 * slope)
            )
        else:
            torch.testing.assert_close(got[0], got[2])
    assert compared > 20
    assert len(kinds) >= 4


def test_coarse_windows_hold_the_object_that_fine_ones_hold(store: Store) -> None:
    windows, buffers = prepared(store.items, replace(CONFIG, augment=False, close_share=0.0))
    areas = []
    for grid in (32, 128):
        windows.config = replace(windows.config, grid=grid)
        found, _ = windows._try(Draws(1, np.arange(64)))
        table = tensors(windows._finish(found, Draws(1, np.arange(64), WARP_SALT)))
        areas.append(read_object(buffers, table, window_positions(table, grid)).mean(dim=(1, 2)))
    torch.testing.assert_close(areas[0], areas[1], rtol=0.03, atol=0.003)


def test_sets_modes_and_superpixels_come_in_their_shares(store: Store) -> None:
    windows, _ = prepared(store.items)
    found, _ = windows._try(Draws(0, np.arange(6000)))
    items = [store.items[n].info for n in windows._pool.item[found["object"]]]
    assert np.mean([i.variant == "superpixel" for i in items]) == pytest.approx(0.3, abs=0.03)
    sets = Counter(i.set_name for i in items if i.variant == "image")
    assert set(sets) == {"grey", "colour", "volume"}
    assert max(sets.values()) < 1.15 * min(sets.values())
    shares = np.bincount(found["mode"], minlength=3) / 6000
    np.testing.assert_allclose(shares[[BOX, WIDE, CLOSE]], [0.5, 0.3, 0.2], atol=0.03)
    axes = Counter(windows._views.axis[found["view"]][[i.set_name == "volume" for i in items]].tolist())
    assert set(axes) == {0, 1, 2}


def test_shapes_come_in_their_share_and_into_images_of_labels_alone(store: Store) -> None:
    windows, _ = prepared(store.items, replace(CONFIG, inserted_share=0.25))
    found, _ = windows._try(Draws(0, np.arange(6000)))
    inserted = found["inserted"]
    assert inserted.mean() == pytest.approx(0.25, abs=0.02)
    variants = [store.items[n].info.variant for n in windows._pool.item[found["object"][inserted]]]
    assert set(variants) == {"image"}
    shares = np.bincount(found["mode"][inserted], minlength=3) / inserted.sum()
    np.testing.assert_allclose(shares[[BOX, WIDE, CLOSE]], [0.5, 0.3, 0.2], atol=0.05)
    plain, _ = prepared(store.items)[0]._try(Draws(0, np.arange(6000)))
    assert not plain["inserted"].any()
    # The share is taken from labelled objects alone, and no window changes by it.
    for name in ("object", "centre", "sides"):
        np.testing.assert_array_equal(found[name], plain[name])


def test_the_object_below_a_shape_may_be_of_any_size(store: Store) -> None:
    config = replace(CONFIG, superpixel_share=0.0, wide_share=1.0, close_share=0.0, wide_zoom=(10.0, 11.0))
    _, sound = prepared(store.items, config)[0]._try(Draws(0, np.arange(400)))
    windows, _ = prepared(store.items, replace(config, inserted_share=1.0))
    found, kept = windows._try(Draws(0, np.arange(400)))
    assert sound.mean() < 0.8
    assert kept.all()
    assert found["inserted"].all()


def test_close_windows_lie_on_the_object(store: Store) -> None:
    windows, buffers = prepared(store.items, replace(CONFIG, wide_share=0.0, close_share=1.0))
    table = tensors(windows.draw(0, np.arange(200)))
    truth = read_object(buffers, table, window_positions(table, GRID)) > 0.5
    share = truth.float().mean(dim=(1, 2))
    assert (share > 0.05).float().mean() > 0.95
    assert share.mean() > 0.4


def test_a_sample_does_not_depend_on_its_batch(store: Store) -> None:
    windows, _ = prepared(store.items)
    many, some = windows.draw(3, np.arange(40)), windows.draw(3, np.array([31, 7]))
    for name in many.keys() - {"displaced", "displacement", "inserted"}:
        np.testing.assert_array_equal(many[name][[31, 7]], some[name])
    for place, number in enumerate((31, 7)):
        ours, theirs = np.flatnonzero(many["displaced"] == number), np.flatnonzero(some["displaced"] == place)
        np.testing.assert_array_equal(many["displacement"][ours], some["displacement"][theirs])
        assert (number in many["inserted"]) == (place in some["inserted"])


def test_objects_too_small_for_the_grid_are_passed_over(make_item: Callable[..., Item]) -> None:
    item = make_item("small", 0, (200, 200))
    small = replace(item, maps=np.zeros((1, 200, 200), dtype=np.uint16), objects=np.zeros((0, 7), dtype=np.int32))
    with pytest.raises(InputError, match="expected at least one object"):
        prepared([small])
    apart = small.maps.copy()
    apart[0, 0, [0, 199]] = 1
    table = np.array([[0, 1, 2, 0, 0, 1, 200]], dtype=np.int32)
    windows, _ = prepared([replace(item, maps=apart, objects=table)])
    with pytest.raises(InputError, match="objects large enough"):
        windows.draw(0, np.arange(3))
