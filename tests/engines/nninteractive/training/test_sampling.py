from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.prompts import Box
from bedside.data.prepare import object_table
from bedside.data.store import Item, ItemInfo, Store, write_store
from bedside.engines.nninteractive.cube import inside_image, sample_image, sample_prompts
from bedside.engines.nninteractive.nonzero import nonzero_statistics
from bedside.engines.nninteractive.settings import InteractionSettings
from bedside.engines.nninteractive.training.sampling import (
    NO_CLICK,
    CropSample,
    CropSampler,
    inside_cells,
    window_numbers,
    window_of_numbers,
)
from bedside.imaging.adaptive_crop import adaptive_window

GRID = 64
BORDER = 3
"""Voxels of zeros around every volume."""


def make_item(
    set_name: str, number: int, boxes: dict[int, tuple[slice, ...]], shape: tuple[int, ...] = (30, 50, 60)
) -> Item:
    """Boxes of labels on noise, within a border of zeros."""
    generator = np.random.default_rng((number, *set_name.encode()))
    labels = np.zeros(shape, dtype=np.uint16)
    for value, box in boxes.items():
        labels[box] = value
    image = (generator.normal(100, 20, shape) + 40 * labels).clip(1, 255).astype(np.uint8)
    rim = np.ones(shape, dtype=bool)
    rim[(slice(BORDER, -BORDER),) * 3] = False
    image[rim] = 0
    info = ItemInfo(f"{set_name}/{number}", set_name, "image", "made", None, ("label",))
    return Item(info, image, labels[None], object_table(labels[None]))


DEEP = (slice(8, 20), slice(10, 30), slice(12, 40))
FLAT = (slice(22, 23), slice(20, 34), slice(30, 47))
LARGE = (slice(5, 95), slice(4, 20), slice(5, 90))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A set with a deep and a flat object, and one with an object larger than the grid."""
    folder = tmp_path_factory.mktemp("store")
    items = [make_item("two", n, {1: DEEP, 5: FLAT}) for n in range(3)]
    write_store(folder, [*items, make_item("large", 0, {2: LARGE}, (100, 24, 95))])
    return Store(folder)


def volume_of(store: Store, sample: CropSample) -> tuple[NDArray[np.generic], NDArray[np.uint16]]:
    """The volume that a sample is of, without its border."""
    for item in store.items:
        inner = (slice(BORDER, -BORDER),) * 3
        image, labels = item.image[inner], item.maps[0][inner]
        window = window_of_numbers(sample.window, GRID)
        if np.array_equal(sample_image(image, window, nonzero_statistics(item.image)), sample.image):
            return image, labels
    raise AssertionError("a sample of no volume")


def test_samples_are_what_inference_sees(store: Store) -> None:
    sampler = CropSampler(store, GRID, 0)
    seen: Counter[str] = Counter()
    kinds = InteractionSettings(supported={**InteractionSettings().supported, "bbox3d": True})
    for index in range(16):
        sample = sampler.sample(index)
        assert {k: (v.shape, v.dtype.name) for k, v in vars(sample).items()} == {
            "image": ((GRID,) * 3, "float32"),
            "truth": ((GRID,) * 3, "uint8"),
            "box": ((3, GRID), "float32"),
            "click": ((3,), "int64"),
            "window": ((4,), "int64"),
            "inside": ((3, 2), "int64"),
        }
        image, labels = volume_of(store, sample)
        window = window_of_numbers(sample.window, GRID)
        z, y, x = sample.box
        box = z[:, None, None] * y[:, None] * x
        # The truth at the middle of a cell is the label at the voxel there.
        cell = np.argwhere(sample.truth)[len(np.argwhere(sample.truth)) // 2]
        voxel = tuple(int(s + (c + 0.5) * k) for s, c, k in zip(window.start, cell, window.scale, strict=True))
        value = int(labels[voxel])
        assert value > 0
        seen["large" if value == 2 else "flat" if value == 5 else "deep"] += 1
        extent = np.argwhere(labels == value)
        low, high = extent.min(axis=0), extent.max(axis=0) + 1
        # Every voxel of these boxes lies within the prompt's box, the last on each axis too.
        assert box[sample.truth > 0].min() > 0.99 if max(window.scale) == 1 else box[sample.truth > 0].min() > 0
        assert box.max() > 0.99
        if max(window.scale) == 1:
            assert np.count_nonzero(z) == high[0] - low[0]
        prompt = Box(tuple(map(float, low[::-1])), tuple(map(float, high[::-1])))
        exact = sample_prompts([prompt], None, window, kinds)[kinds.pairs["bbox3d"][0]]
        assert (box >= exact - 2e-3).all()
        inside = np.zeros((GRID,) * 3, dtype=bool)
        inside[tuple(slice(a, b) for a, b in sample.inside)] = True
        assert np.array_equal(inside, inside_image(window, image.shape))
        assert (sample.image[~inside] == 0).all() or max(window.scale) > 1
        assert (sample.click == NO_CLICK).all()
    assert seen["large"] >= 3
    assert seen["flat"] >= 2
    assert seen["deep"] >= 2


def test_the_box_is_jittered_by_at_most_five_parts_of_the_image(store: Store) -> None:
    widths: Counter[int] = Counter()
    sampler = CropSampler(store, GRID, 0)
    for index in range(60):
        sample = sampler.sample(index)
        z = np.count_nonzero(sample.box[0])
        if z == 1 or sample.window[3] > GRID:
            continue
        assert z == DEEP[0].stop - DEEP[0].start
        widths[np.count_nonzero(sample.box[2]) - (DEEP[2].stop - DEEP[2].start)] += 1
    # One side grows by floor(s * 54 / 256) for s from 0 to 5, which is 0 or 1; both sides by as much.
    assert set(widths) == {0, 2}
    assert sum(widths.values()) > 10


def test_labels_and_sets_are_drawn_equally_often(store: Store) -> None:
    seen: Counter[str] = Counter()
    sampler = CropSampler(store, GRID, 3)
    for index in range(80):
        sample = sampler.sample(index)
        depth = np.count_nonzero(sample.box[0])
        seen["large" if sample.window[3] > GRID else "flat" if depth == 1 else "deep"] += 1
    assert seen["large"] == pytest.approx(40, abs=14)
    assert seen["flat"] == pytest.approx(20, abs=11)
    assert seen["deep"] == pytest.approx(20, abs=11)


def test_a_sample_depends_on_seed_and_number_alone(store: Store) -> None:
    first = [CropSampler(store, GRID, 5, 0.5).sample(n) for n in range(4)]
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    again = CropSampler(store, GRID, 5, 0.5)
    for index in (2, 0, 3, 1):
        sample = again.sample(index)
        assert all(np.array_equal(v, vars(first[index])[name]) for name, v in vars(sample).items())
    assert before == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


def test_without_a_box_a_click_lies_in_the_middle_of_the_window(store: Store) -> None:
    sampler = CropSampler(store, GRID, 0, click_share=1.0)
    for index in range(6):
        sample = sampler.sample(index)
        assert not sample.box.any()
        assert sample.window[3] == GRID
        cell = sample.click - sample.window[:3]
        assert (np.abs(cell - GRID // 2) <= 1).all()
        assert sample.truth[tuple(cell)] == 1


def test_stores_without_labelled_volumes_are_rejected(store: Store, tmp_path: Path) -> None:
    item = store.items[0]
    write_store(tmp_path, [Item(item.info, item.image, item.maps * 0, item.objects[:0])])
    with pytest.raises(InputError, match="at least one volume with an object"):
        CropSampler(Store(tmp_path), GRID, 0)


def test_a_volume_of_zeros_is_rejected_when_it_is_asked(store: Store, tmp_path: Path) -> None:
    """Its labels are there, and a file that holds nothing else must not end in a traceback."""
    item = store.items[0]
    labels = np.zeros_like(item.maps)
    labels[0, :2, :10, :10] = 1
    write_store(tmp_path, [Item(item.info, item.image, labels, object_table(labels))])
    with pytest.raises(InputError, match="objects large enough to sample"):
        CropSampler(Store(tmp_path), GRID, 0).sample(0)


@settings(max_examples=50)
@given(low=st.tuples(*[st.integers(-40, 200)] * 3), side=st.tuples(*[st.integers(1, 300)] * 3))
def test_windows_survive_as_numbers(low: tuple[int, ...], side: tuple[int, ...]) -> None:
    window = adaptive_window(low, [a + s for a, s in zip(low, side, strict=True)], (GRID,) * 3)
    assert window_of_numbers(window_numbers(window), GRID) == window
    ranges = inside_cells(window, (50, 60, 70))
    expected = inside_image(window, (50, 60, 70))
    found = np.zeros(expected.shape, dtype=bool)
    found[tuple(slice(a, b) for a, b in ranges)] = True
    assert np.array_equal(found, expected)
