from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from bedside.engines.window.sampling.gatherings import SMALLEST_MISTAKE, gather_parts, mistaken_part


def discs(count: int, seed: int) -> NDArray[np.uint16]:
    """Numbered squares apart from each other in a row, the last ones far from the first."""
    values = np.zeros((40, 12 * count), dtype=np.uint16)
    generator = np.random.default_rng(seed)
    for number in range(count):
        y = int(generator.integers(0, 30))
        values[y : y + 6, 12 * number : 12 * number + 6] = number + 1
    return values


@given(count=st.integers(1, 12), seed=st.integers(0, 999), data=st.data())
def test_a_gathering_holds_whole_objects_and_the_one_it_is_about(count: int, seed: int, data: st.DataObject) -> None:
    values = discs(count, seed)
    value = data.draw(st.integers(1, count))
    mask = gather_parts(values, value, None, 1.0, np.random.default_rng(seed))
    held = set(np.unique(values[mask])) - {0}
    assert value in held
    assert np.array_equal(mask, np.isin(values, list(held)))


def test_how_often_and_how_many() -> None:
    values = discs(12, 0)
    counts = [
        len(np.unique(values[gather_parts(values, 3, None, 0.5, np.random.default_rng(seed))])) for seed in range(300)
    ]
    assert np.mean(np.array(counts) == 1) >= 0.45
    assert np.mean(np.array(counts) == 12) == pytest.approx(0.25, abs=0.08)
    assert any(1 < n < 12 for n in counts)


def test_others_of_another_label_stay_out() -> None:
    values = discs(8, 1)
    label = values % 2 == 1
    for seed in range(30):
        mask = gather_parts(values, 3, label & (values > 0), 1.0, np.random.default_rng(seed))
        assert not mask[~label].any()


def test_an_object_that_is_not_in_the_plane_stays_empty() -> None:
    assert not gather_parts(discs(3, 0), 9, None, 1.0, np.random.default_rng(0)).any()


@given(seed=st.integers(0, 2**32 - 1), hole=st.booleans(), neighbour=st.booleans())
def test_a_mistake_is_one_part_outside_the_object(seed: int, hole: bool, neighbour: bool) -> None:
    truth = np.zeros((64, 64), dtype=np.uint8)
    truth[20:44, 16:40] = 1
    if hole:
        truth[28:36, 24:32] = 0
    others = np.zeros_like(truth)
    others[50:58, 50:58] = 1
    mistake = mistaken_part(truth, others if neighbour else None, np.random.default_rng(seed))
    if mistake is not None:
        assert not (mistake & (truth > 0)).any()
        assert mistake.sum() >= SMALLEST_MISTAKE
        assert ndimage.label(mistake)[1] == 1


def test_every_kind_of_mistake_comes_up() -> None:
    truth = np.zeros((64, 64), dtype=np.uint8)
    truth[10:30, 10:30] = 1
    truth[16:22, 16:22] = 0
    truth[10:30, 34:50] = 1
    others = np.zeros_like(truth)
    others[50:58, 50:58] = 1
    found = [mistaken_part(truth, others, np.random.default_rng(seed)) for seed in range(80)]
    places = {"hole": (18, 18), "gap": (20, 31), "neighbour": (54, 54)}
    for place in places.values():
        assert any(mistake is not None and mistake[place] for mistake in found)
