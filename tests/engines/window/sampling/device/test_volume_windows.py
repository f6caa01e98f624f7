from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.data.store import Item, Store
from bedside.engines.window.sampling.device.buffers import Buffers, BufferWriter
from bedside.engines.window.sampling.device.choice import LevelTable
from bedside.engines.window.sampling.device.plane_windows import BOX, CLOSE, WARP_SALT, WIDE, Arrays
from bedside.engines.window.sampling.device.volume_given import EXTRUDED, INSERTED, LABELLED, SYNTHETIC
from bedside.engines.window.sampling.device.volume_windows import VolumeWindows, draw_volume_warps
from bedside.engines.window.sampling.device.windows import inside_image, read_image, read_object, window_positions
from bedside.engines.window.sampling.volume_augmentation import VolumeWarp, draw_volume_warp
from bedside.engines.window.sampling.volume_sampler import VolumeSampler, window_of
from bedside.train.hashing import Draws
from bedside.train.sampling import SamplingConfig

CPU = torch.device("cpu")
GRID = 32
CONFIG = SamplingConfig(grid=GRID, superpixel_share=0.3, wide_share=0.3, close_share=0.2)


def prepared(items: list[Item], config: SamplingConfig = CONFIG) -> tuple[VolumeWindows, Buffers]:
    writer = BufferWriter()
    windows = VolumeWindows(items, writer, config)
    return windows, writer.finish(CPU)


def tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}


@pytest.mark.parametrize("augment", [False, True])
def test_windows_are_those_of_the_reference(store: Store, augment: bool) -> None:
    windows, buffers = prepared(store.items, replace(CONFIG, augment=augment))
    numbers = np.arange(48)
    found, sound, given = windows._try(Draws(7, numbers))
    assert sound.mean() > 0.7
    assert not given
    table = tensors(windows._finish(found, Draws(7, numbers, WARP_SALT)))
    warps, displaced, displacement = draw_volume_warps(Draws(7, numbers, WARP_SALT), augment=augment)
    positions = window_positions(table, GRID)
    image = read_image(buffers, table, positions, 1)[:, 0]
    truth = read_object(buffers, table, positions) > 0.5
    inside = inside_image(positions, table["extent"])
    kinds: Counter[str] = Counter()
    compared = 0
    for row in np.flatnonzero(sound):
        picked = found["object"][row]
        item, (number, value) = windows._items[windows._pool.item[picked]], windows._pool.table[picked][:2]
        kinds[item.info.variant] += 1
        place = np.flatnonzero(displaced == row)
        matrix = found["sides"][row][:, None] * warps[row]
        warp = VolumeWarp(tuple(found["centre"][row]), matrix, displacement[place[0]] if len(place) else None)
        wanted, reference, known = window_of(item, int(number), int(value), warp, GRID)
        assert (known == inside[row].numpy()).mean() > 0.99
        # From two voxels a cell on the reference averages over other blocks of voxels than halving does.
        fine = max(warp.cells(GRID)) < 1.4
        compared += fine
        alike = float(np.corrcoef(image[row].flatten(), wanted.flatten())[0, 1])
        assert alike > (0.9999 if fine else 0.9)
        assert (reference != truth[row].numpy()).mean() < (0.002 if fine else 0.05)
    assert compared > 15
    assert set(kinds) == {"image", "supervoxel"}


def test_coarse_windows_hold_the_object_that_fine_ones_hold(store: Store) -> None:
    windows, buffers = prepared(store.items, replace(CONFIG, augment=False, close_share=0.0))
    areas = []
    for grid in (32, 64):
        windows = windows.on_grid(grid)
        found, _, _ = windows._try(Draws(1, np.arange(12)))
        table = tensors(windows._finish(found, Draws(1, np.arange(12), WARP_SALT)))
        areas.append(read_object(buffers, table, window_positions(table, grid)).mean(dim=(1, 2, 3)))
    torch.testing.assert_close(areas[0], areas[1], rtol=0.05, atol=0.003)


def test_warps_are_distributed_as_those_of_the_reference() -> None:
    count = 4000
    got, displaced, displacement = draw_volume_warps(Draws(0, np.arange(count)), augment=True)
    generator = np.random.default_rng(0)
    made = [draw_volume_warp((0, 0, 0), (1, 1, 1), generator) for _ in range(count)]
    wanted = np.stack([w.matrix for w in made])
    assert len(displaced) / count == pytest.approx(np.mean([w.displacement is not None for w in made]), abs=0.02)
    fields = np.stack([w.displacement for w in made if w.displacement is not None])
    assert displacement.std() == pytest.approx(fields.std(), rel=0.1)

    def summary(matrices: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        lengths = np.sqrt((matrices**2).sum(axis=1))
        turned = np.abs(matrices / lengths[:, None, :]).max(axis=2).min(axis=1)
        ranks = [0.05, 0.25, 0.5, 0.75, 0.95]
        return [np.quantile(v, ranks) for v in (lengths, turned, matrices)]

    for ours, theirs in zip(summary(got), summary(wanted), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.03)
    even, _, _ = draw_volume_warps(Draws(0, np.arange(count)), 0.0, augment=True)
    assert np.sqrt((even**2).sum(axis=1)).max() <= np.exp(0.4 * 2 / 3) + 1e-6
    # A volume is neither larger nor smaller for being turned, and mirrored as often as not.
    determinants = np.linalg.det(got)
    np.testing.assert_allclose(np.abs(determinants), 1, atol=1e-9)
    assert (determinants < 0).mean() == pytest.approx(0.5, abs=0.03)
    orders = Counter(tuple(order) for order in np.abs(got).argmax(axis=2).tolist())
    assert min(orders[order] for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))) > 400


def test_sets_modes_and_sources_come_in_their_shares(store: Store) -> None:
    shares = {"superpixel_share": 0.3, "synthetic_share": 0.1, "extruded_share": 0.2, "inserted_share": 0.15}
    windows, _ = prepared(store.items, replace(CONFIG, **shares))
    source, supervoxel = windows._draw_source(Draws(0, np.arange(6000)))
    found = [(source == kind).mean() for kind in (LABELLED, SYNTHETIC, EXTRUDED, INSERTED)]
    assert found == pytest.approx([0.55, 0.1, 0.2, 0.15], abs=0.02)
    assert supervoxel.mean() == pytest.approx(0.3, abs=0.02)
    assert not supervoxel[source != LABELLED].any()
    windows, _ = prepared(store.items)
    found, _, _ = windows._try(Draws(0, np.arange(3000)))
    modes = np.bincount(found["mode"], minlength=3) / 3000
    np.testing.assert_allclose(modes[[BOX, WIDE, CLOSE]], [0.5, 0.3, 0.2], atol=0.03)
    assert all(store.items[n].axes == 3 for n in windows._pool.item[found["object"]])
    flat = [item for item in store.items if item.axes == 3 and item.info.variant == "image"]
    windows, _ = prepared(flat, replace(CONFIG, **shares))
    source, supervoxel = windows._draw_source(Draws(0, np.arange(2000)))
    assert not (source == EXTRUDED).any()
    assert not supervoxel.any()


def test_shapes_are_drawn_into_windows_around_labelled_objects_of_any_size(store: Store) -> None:
    windows, _ = prepared(store.items, replace(CONFIG, superpixel_share=0.4, inserted_share=0.5, close_share=0.4))
    # As if all objects were too small.
    windows._pool.table[:, 2] = 0
    found, sound, given = windows._try(Draws(0, np.arange(1500)))
    inserted = found["source"] == INSERTED
    assert not given
    assert sound[inserted].all()
    assert not sound[~inserted].any()
    assert {store.items[n].info.variant for n in windows._pool.item[found["object"][inserted]]} == {"image"}
    # The window is one around a box also where the sample starts in another way.
    modes = np.bincount(found["mode"][inserted], minlength=3) / inserted.sum()
    np.testing.assert_allclose(modes[[BOX, WIDE, CLOSE]], [0.3, 0.3, 0.4], atol=0.05)
    close = found["mode"] == CLOSE
    assert np.median(found["sides"][close & inserted]) > 2 * np.median(found["sides"][close & ~inserted])
    mixed = replace(CONFIG, superpixel_share=0.1, synthetic_share=0.1, extruded_share=0.2, inserted_share=0.5)
    drawn = prepared(store.items, mixed)[0].draw(0, np.arange(200))
    assert len(drawn["inserted"]) > 60
    assert len(drawn["given"]) > 30
    assert not set(drawn["inserted"]) & set(drawn["given"])


def test_close_windows_lie_on_the_object(store: Store) -> None:
    config = replace(CONFIG, superpixel_share=0.0, wide_share=0.0, close_share=1.0)
    windows, buffers = prepared(store.items, config)
    table = tensors(windows.draw(0, np.arange(120)))
    truth = read_object(buffers, table, window_positions(table, GRID)) > 0.5
    share = truth.float().mean(dim=(1, 2, 3)).numpy()
    sampler = VolumeSampler(store, config, 0)
    wanted = np.array([sampler.sample(n).truth.mean() for n in range(120)])
    assert (share > 0.001).mean() > 0.97
    ranks = [0.2, 0.4, 0.6, 0.8]
    np.testing.assert_allclose(np.quantile(share, ranks), np.quantile(wanted, ranks), atol=0.12)


def test_a_sample_does_not_depend_on_its_batch(store: Store) -> None:
    windows, _ = prepared(store.items, replace(CONFIG, synthetic_share=0.2, extruded_share=0.2, inserted_share=0.2))
    many, some = windows.draw(3, np.arange(24)), windows.draw(3, np.array([21, 7, 2]))
    listed = {"displaced": {"displacement"}, "given": {"given_image", "given_cells"}, "inserted": set[str]()}
    for name in many.keys() - listed.keys() - set().union(*listed.values()):
        np.testing.assert_array_equal(many[name][[21, 7, 2]], some[name])
    for rows, columns in listed.items():
        for place, number in enumerate((21, 7, 2)):
            ours, theirs = np.flatnonzero(many[rows] == number), np.flatnonzero(some[rows] == place)
            assert len(ours) == len(theirs)
            for column in columns:
                np.testing.assert_array_equal(many[column][ours], some[column][theirs])
    assert len(many["given"]) > 3


def test_levels_follow_the_axes_that_are_halved(make_item: Callable[..., Item]) -> None:
    item = make_item("thick", 0, (24, 128, 128), spacing=(6.0, 1.0, 1.0))
    writer = BufferWriter()
    (pyramid,) = writer.add(item, [()])
    assert [level.factor for level in pyramid[:3]] == [(1, 1, 1), (1, 2, 2), (1, 4, 4)]
    table = LevelTable.of([pyramid], [()])
    cells = np.array([[0.2, 1.2, 1.2], [0.4, 2.1, 2.1], [0.4, 1.6, 2.6], [0.8, 4.4, 4.4], [0.1, 0.3, 0.3]])
    assert table.pick_by_axis(np.zeros(5, dtype=np.int64), cells).tolist() == [0, 1, 1, 2, 0]


def test_objects_too_small_for_the_grid_are_passed_over(store: Store, make_item: Callable[..., Item]) -> None:
    with pytest.raises(InputError, match="expected at least one volume with an object"):
        prepared([item for item in store.items if item.axes == 2])
    item = make_item("small", 0, (40, 40, 40))
    maps = np.zeros((1, 40, 40, 40), dtype=np.uint16)
    maps[0, 0, 0, [0, 39]] = 1
    table = np.array([[0, 1, 2, 0, 0, 0, 1, 1, 40]], dtype=np.int32)
    windows, _ = prepared([replace(item, maps=maps, objects=table)])
    with pytest.raises(InputError, match="objects large enough"):
        windows.draw(0, np.arange(3))
