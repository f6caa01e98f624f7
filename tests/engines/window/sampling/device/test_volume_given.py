from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bedside.data.store import Store
from bedside.engines.window.sampling.device.volume_given import (
    EXTRUDED,
    INSIDE,
    MODES,
    SYNTHETIC,
    TRUTH,
    GivenWindows,
    as_bytes,
)
from bedside.engines.window.sampling.synthetic import synthetic_window
from bedside.engines.window.sampling.volume_sampler import draw_extruded, pick_item, plane_pool
from bedside.train.sampling import SamplingConfig

CONFIG = SamplingConfig(grid=32)


@pytest.mark.parametrize("mode", MODES)
def test_continued_images_are_those_of_the_reference(store: Store, mode: int) -> None:
    given, pool = GivenWindows(store.items), plane_pool(store.items)
    assert set(pool) == {"grey", "colour"}
    for seed in range(4):
        window = given.draw(EXTRUDED, mode, CONFIG, np.random.default_rng(seed))
        generator = np.random.default_rng(seed)
        image, truth, inside = draw_extruded(pick_item(pool, generator), MODES[mode], CONFIG, generator)
        if window is None:
            assert truth.sum() < 20
            continue
        np.testing.assert_array_equal(window[1] & TRUTH > 0, truth > 0)
        np.testing.assert_array_equal(window[1] & INSIDE > 0, inside)
        assert np.corrcoef(window[0].ravel(), image.numpy().ravel())[0, 1] > 0.999


def test_synthetic_shapes_are_those_of_the_reference(store: Store) -> None:
    given, found = GivenWindows(store.items), 0
    for seed in range(6):
        window = given.draw(SYNTHETIC, 0, CONFIG, np.random.default_rng(seed))
        made = synthetic_window((1, *(CONFIG.grid,) * 3), np.random.default_rng(seed))
        assert (window is None) == (made is None)
        if window is not None and made is not None:
            found += 1
            np.testing.assert_array_equal(window[1], TRUTH * made[1] + INSIDE)
    assert found


def test_bytes_hold_what_lies_between_outliers() -> None:
    values = torch.linspace(-5, 3, 20_000).reshape(20, 1000)
    values[0, 0] = 1e4
    got = as_bytes(values)
    assert got.min() == 0
    assert got.max() == 255
    assert len(np.unique(got)) == 256
    assert set(np.unique(as_bytes(torch.full((4, 5), 7.0)))) == {0}
    speck = torch.zeros(50, 50)
    speck[3, 3] = 1
    assert set(np.unique(as_bytes(speck))) == {0, 255}


def test_a_store_without_images_has_nothing_to_continue(store: Store) -> None:
    assert GivenWindows(store.items).has_planes
    assert not GivenWindows([item for item in store.items if item.axes == 3]).has_planes
    empty = [replace(item, objects=item.objects[:0]) for item in store.items if item.axes == 2]
    assert not GivenWindows(empty).has_planes
