from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import bedside.engines.window.sampling.volume_sampler as module
from bedside.core.errors import InputError
from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store, write_store
from bedside.engines.window.sampling.volume_sampler import (
    MINIMUM_CELLS,
    VolumeSampler,
    draw_extruded,
    draw_volume,
    window_of,
)
from bedside.engines.window.sampling.volume_windows import plain_warp
from bedside.imaging.window import Window
from bedside.train.sampling import SamplingConfig
from tests.support.generators import make_under_global_seeds
from tests.support.samples import same, sample_of

GRID = 32
MIXED = SamplingConfig(grid=GRID, superpixel_share=0.2, extruded_share=0.2, synthetic_share=0.2, inserted_share=0.2)


def make_item(
    set_name: str,
    number: int,
    shape: tuple[int, ...] = (24, 40, 44),
    variant: str = "image",
    spacing: tuple[float, ...] | None = (2.0, 1.0, 0.9),
) -> Item:
    """A bright ball or disc, round in millimetres, on noise; colour where the shape ends in 3."""
    generator = np.random.default_rng((number, *set_name.encode()))
    spatial = shape[:2] if shape[2:] == (3,) else shape
    scale = np.array(spacing or (1.0,) * len(spatial)).reshape(-1, *(1,) * len(spatial))
    middle = np.array([n / 2 for n in spatial]).reshape(scale.shape)
    offsets = (np.indices(spatial) + 0.5 - middle) * scale
    mask = (offsets**2).sum(axis=0) <= 12.0**2
    bright = mask[..., None] if len(spatial) < len(shape) else mask
    image = (generator.normal(60, 15, shape) + 90 * bright).clip(0, 255).astype(np.uint8)
    maps = mask[None].astype(np.uint16)
    kind = {"image": "label"}.get(variant, variant)
    info = ItemInfo(f"{set_name}/{number}", set_name, variant, "made", spacing, (kind,))
    return Item(info, image, maps, object_table(maps))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Sets of one and of four volumes, supervoxels of one, and images: grey, in colour, and with superpixels."""
    folder = tmp_path_factory.mktemp("store")
    items = [make_item("single", 0), *[make_item("many", n) for n in range(4)]]
    items += [make_item("single", 0, variant="supervoxel"), make_item("flat", 0, (50, 60), spacing=None)]
    items += [make_item("colour", 0, (50, 60, 3), spacing=None), make_item("flat", 1, (50, 60), "superpixel", None)]
    write_store(folder, items)
    return Store(folder)


def test_samples_are_as_described(store: Store) -> None:
    sampler = VolumeSampler(store, MIXED, 0)
    for index in range(30):
        sample = sample_of(sampler, index)
        grid = (GRID,) * 3
        assert {k: (v.shape, v.dtype.name) for k, v in vars(sample).items() if k != "colour"} == {
            "image": ((1, *grid), "float32"),
            "previous": (grid, "float32"),
            "prompts": ((4, *grid), "float32"),
            "truth": (grid, "uint8"),
            "inside": (grid, "bool"),
        }
        assert np.isfinite(sample.image).all()
        assert set(np.unique(sample.truth)) <= {0, 1}
        assert sample.truth.sum() >= MINIMUM_CELLS
        assert not sample.truth[~sample.inside].any()
        assert (sample.image[:, ~sample.inside] == 0).all()
        assert sample.prompts.any() or sample.previous.any()


def test_a_sample_depends_on_seed_and_number_alone(store: Store) -> None:
    sampler = VolumeSampler(store, MIXED, 5)
    first = [sample_of(sampler, index) for index in range(6)]
    for index in (3, 0, 5):
        assert same(sample_of(sampler, index), first[index])
    assert same(sample_of(VolumeSampler(store, MIXED, 5), 4), first[4])
    assert not same(sample_of(VolumeSampler(store, MIXED, 6), 4), first[4])


class Samples(Dataset[dict[str, Any]]):
    def __init__(self, sampler: VolumeSampler) -> None:
        self.sampler = sampler

    def __getitem__(self, index: int) -> dict[str, Any]:
        return vars(sample_of(self.sampler, index))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_give_the_same_samples(store: Store) -> None:
    dataset = Samples(VolumeSampler(store, MIXED, 1))
    batches = [
        list(DataLoader(dataset, batch_size=2, sampler=range(6), num_workers=workers, generator=torch.Generator()))
        for workers in (0, 2)
    ]
    assert len(batches[0]) == len(batches[1]) == 3
    for alone, shared in zip(*batches, strict=True):
        assert all(torch.equal(values, shared[name]) for name, values in alone.items())
    # Shared memory of the workers is let go of while torch still can.
    del batches, alone, shared
    torch.multiprocessing.reductions.shared_cache.clear()


def test_global_generators_neither_matter_nor_move(store: Store) -> None:
    first, second = make_under_global_seeds(lambda: [sample_of(VolumeSampler(store, MIXED, 0), n) for n in range(8)])
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_sources_have_their_shares_and_sets_are_drawn_equally_often(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: Counter[tuple[str, str]] = Counter()

    def record(item: Item, *_: Any) -> None:
        drawn[item.info.set_name, item.info.variant] += 1

    monkeypatch.setattr(module, "draw_volume", record)
    monkeypatch.setattr(module, "draw_extruded", record)
    monkeypatch.setattr(module, "synthetic_window", lambda *_: drawn.update([("made", "synthetic")]))
    monkeypatch.setattr(VolumeSampler, "_insert", lambda *_: drawn.update([("made", "inserted")]))
    sampler = VolumeSampler(store, MIXED, 0)
    for index in range(150):
        with pytest.raises(InputError, match="objects large enough to sample"):
            sample_of(sampler, index)
    total = sum(drawn.values())
    assert total == 3000
    shares = {key: count / total for key, count in drawn.items()}
    assert shares["made", "synthetic"] == pytest.approx(0.2, abs=0.03)
    assert shares["made", "inserted"] == pytest.approx(0.2, abs=0.03)
    assert shares["single", "supervoxel"] == pytest.approx(0.2, abs=0.03)
    assert shares["single", "image"] == pytest.approx(0.2 / 2, abs=0.03)
    assert shares["many", "image"] == pytest.approx(0.2 / 2, abs=0.03)
    assert shares["colour", "image"] == pytest.approx(0.2 / 2, abs=0.03)
    assert shares["flat", "image"] + shares["flat", "superpixel"] == pytest.approx(0.2 / 2, abs=0.03)


def test_a_store_without_volumes_is_rejected(store: Store, tmp_path: Path) -> None:
    write_store(tmp_path, [item for item in store.items if item.axes == 2])
    with pytest.raises(InputError, match="at least one volume with an object"):
        VolumeSampler(Store(tmp_path), MIXED, 0)


def test_volumes_alone_are_enough(store: Store, tmp_path: Path) -> None:
    write_store(tmp_path, [item for item in store.items if item.axes == 3 and item.info.variant == "image"])
    sampler = VolumeSampler(Store(tmp_path), SamplingConfig(grid=GRID, superpixel_share=0.5, extruded_share=0.5), 0)
    assert all(sample_of(sampler, n).truth.any() for n in range(4))


@pytest.mark.parametrize("mode", ["box", "wide", "close"])
def test_windows_are_cubes_in_millimetres_around_the_object(
    store: Store, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    item = store.items[0]
    windows = []

    def record(centre: tuple[float, float, float], sides: tuple[float, ...]) -> Any:
        windows.append((np.array(centre), np.array(sides)))
        return plain_warp(centre, sides)

    monkeypatch.setattr(module, "plain_warp", record)
    config = SamplingConfig(grid=GRID, augment=False)
    low, high = {"box": config.box_zoom, "wide": config.wide_zoom, "close": config.close_zoom}[mode]
    spacing = np.array(item.info.spacing)
    start, stop = item.objects[0, 3:6], item.objects[0, 6:]
    extent = ((stop - start) * spacing).max()
    limit = 2 * (np.array(item.image.shape) * spacing).max()
    for seed in range(25):
        draw_volume(item, mode, config, np.random.default_rng(seed))
        centre, sides = windows[-1]
        assert (sides * spacing).std() < 1e-9
        assert min(low * extent, limit) - 1e-6 <= sides[0] * spacing[0] <= min(high * extent, limit) + 1e-6
        if mode != "close":
            # The object stays in sight but for a rim of 6 % of its extent at most.
            rim = 0.061 * extent / spacing
            assert (centre - sides / 2 <= start + rim).all()
            assert (centre + sides / 2 >= stop - rim).all()


def test_without_augmentation_a_window_is_that_of_inference(store: Store) -> None:
    item = store.items[0]
    centre, sides = (12.0, 20.5, 21.0), (15.0, 30.0, 30.0 / 0.9)
    image, truth, inside = window_of(item, 0, 1, plain_warp(centre, sides), GRID)
    expected, expected_inside = Window.centred(centre, sides, (GRID,) * 3).sample(item.image)
    assert np.array_equal(inside, expected_inside)
    np.testing.assert_allclose(image.numpy(), expected[0], atol=6)
    mask, _ = Window.centred(centre, sides, (GRID,) * 3).sample((item.maps[0] == 1).astype(np.float32))
    assert np.mean(truth != (mask[0] > 0.5)) < 0.005


def test_image_and_truth_stay_together_through_every_source(store: Store) -> None:
    """The ball is 6 deviations brighter than its ground, so that a shift of a cell would show."""
    generator = np.random.default_rng(0)
    config = SamplingConfig(grid=GRID)
    for number in range(30):
        item = store.items[0]
        image, truth, inside = draw_volume(item, "box", config, generator)
        bright = (image.numpy() > 105) & inside
        overlap = 2 * (bright & (truth > 0)).sum() / (bright.sum() + truth.sum())
        assert overlap > 0.85, number
    flat = next(i for i in store.items if i.info.set_name == "flat")
    for number in range(30):
        image, truth, inside = draw_extruded(flat, "box", config, generator)
        on = truth > 0
        if on.sum() >= MINIMUM_CELLS:
            assert np.mean(image.numpy()[on] > 105) > 0.85, number
            assert not truth[~inside].any()
