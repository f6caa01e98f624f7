"""Clicks: on the object, on the largest error, of the right sign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import ndimage

from bedside.simulate.clicks import first_click, next_click

Mask = NDArray[np.bool_]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    """A truth and a prediction of the same shape, 2D or 3D; either may be empty or full."""
    shape = draw(st.integers(2, 3).flatmap(lambda n: st.tuples(*[st.integers(1, 8)] * n)))
    return draw(npst.arrays(np.bool_, shape)), draw(npst.arrays(np.bool_, shape))


def competition_candidates(truth: Mask, prediction: Mask) -> list[set[tuple[int, ...]]]:
    """The voxels between which the CVPR 2025 rule draws; one set for each of equally large errors.

    Written from the rule: error, 26-connected components, the largest, cropped and padded by a quarter of its size
    and at least 1 voxel, Euclidean distance transform, maxima.
    """
    error = truth ^ prediction
    labels, count = ndimage.label(error, np.ones((3,) * error.ndim))
    sizes = [int((labels == k).sum()) for k in range(1, count + 1)]
    candidates = []
    for k, size in enumerate(sizes, start=1):
        if size < max(sizes):
            continue
        index = np.argwhere(labels == k)
        low, high = index.min(axis=0), index.max(axis=0) + 1
        crop = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == k
        margin = [max(1, int(0.25 * n)) for n in crop.shape]
        distances = ndimage.distance_transform_edt(np.pad(crop, [(m, m) for m in margin]))
        deepest = np.argwhere(distances == distances.max()) - margin + low
        candidates.append({tuple(int(i) for i in voxel) for voxel in deepest})
    return candidates


def array_index(position: tuple[float, ...]) -> tuple[int, ...]:
    """A point's position as an index of the array."""
    assert all(c == int(c) for c in position)
    return tuple(int(c) for c in position[::-1])


@given(pairs(), st.integers(0, 2**32 - 1))
def test_a_correction_follows_the_competitions_rule(pair: tuple[Mask, Mask], seed: int) -> None:
    truth, prediction = pair
    click = next_click(truth, prediction, np.random.default_rng(seed))
    if np.array_equal(truth, prediction):
        assert click is None
        return
    assert click is not None
    index = array_index(click.position)
    assert any(index in allowed for allowed in competition_candidates(truth, prediction))
    assert click.positive == truth[index] != prediction[index]
    assert click.frame == "index"


@pytest.mark.parametrize("shape", [(30, 40), (20, 22, 24)])
def test_the_sign_is_that_of_the_error(shape: tuple[int, ...]) -> None:
    truth = np.zeros(shape, np.uint8)
    core = tuple(slice(4, 13) for _ in shape)
    truth[core] = 1
    generator = np.random.default_rng(0)
    missed = next_click(truth, np.zeros_like(truth), generator)
    assert missed is not None
    assert (missed.positive, array_index(missed.position)) == (True, (8,) * len(shape))
    too_far = next_click(np.zeros_like(truth), truth, generator)
    assert too_far is not None
    assert (too_far.positive, array_index(too_far.position)) == (False, (8,) * len(shape))


def test_the_larger_of_two_errors_is_corrected_even_where_the_smaller_is_deeper() -> None:
    truth = np.zeros((60, 60), bool)
    truth[5:14, 5:14] = True
    prediction = np.zeros((60, 60), bool)
    prediction[40:43, 2:58] = True
    click = next_click(truth, prediction, np.random.default_rng(0))
    assert click is not None
    assert not click.positive
    assert click.position[1] == 41


def test_values_other_than_1_are_the_object_too() -> None:
    truth = np.zeros((9, 9), np.uint8)
    truth[2:7, 2:7] = 255
    assert next_click(truth, (truth > 0).astype(np.uint8), np.random.default_rng(0)) is None
    assert first_click(truth, np.random.default_rng(0)).position == (4.0, 4.0)


@given(pairs(), st.integers(0, 2**32 - 1), st.sampled_from([None, 1.0, 8.0]))
def test_a_first_click_is_positive_and_on_the_object(
    pair: tuple[Mask, Mask], seed: int, sharpness: float | None
) -> None:
    truth, _ = pair
    if truth.any():
        click = first_click(truth, np.random.default_rng(seed), sharpness)
        assert click.positive
        assert truth[array_index(click.position)]
        assert click == first_click(truth, np.random.default_rng(seed), sharpness)


@given(pairs(), st.integers(0, 2**32 - 1))
def test_clicks_in_turn_remove_every_error(pair: tuple[Mask, Mask], seed: int) -> None:
    truth, prediction = pair
    generator = np.random.default_rng(seed)
    for _ in range(truth.size):
        click = next_click(truth, prediction, generator)
        if click is None:
            break
        prediction[array_index(click.position)] = click.positive
    np.testing.assert_array_equal(prediction, truth)


def published_clicks(truth: Mask, prediction: Mask, count: int) -> list[tuple[int, ...]]:
    """The published round: one error for all clicks, and the same seed at each of them."""
    clicks = []
    for _ in range(count):
        generator = np.random.default_rng(42)
        click = next_click(truth, prediction, generator)
        assert click is not None
        clicks.append(array_index(click.position))
    return clicks


def test_ties_are_drawn_anew_where_the_published_seed_takes_one_voxel_for_ever() -> None:
    truth = np.zeros((12, 12), bool)
    truth[2:10, 2:10] = True
    nothing = np.zeros_like(truth)
    assert len(set(published_clicks(truth, nothing, 20))) == 1
    generator = np.random.default_rng(42)
    drawn = {click.position for _ in range(40) if (click := next_click(truth, nothing, generator)) is not None}
    assert len(drawn) == 4
